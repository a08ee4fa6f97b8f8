#pragma once
// What the benchmarks measure with: CPU time of threads, quantiles, memory, folders that go away.
// Benchmarks read the operating system's clocks themselves; nothing of this is in the daemon.

#include <cstdint>
#include <string>
#include <vector>

namespace sluice::bench {

double wall_seconds();
/// User and system time.
double thread_cpu_seconds();
double process_cpu_seconds();

/// Lets time pass: nothing else would show a process at rest.
void rest(double seconds);

/// Of a copy that it sorts; q in [0, 1]; 0 for no values.
double quantile(std::vector<double> values, double q);
inline double median(std::vector<double> values) { return quantile(std::move(values), 0.5); }

/// Of another process, or of this one for 0: a field of /proc/PID/status in bytes ("VmRSS:"), or of
/// /proc/PID/io as it is ("write_bytes:"). 0 if it can't be read.
std::uint64_t proc_status_bytes(int pid, const std::string& field);
std::uint64_t proc_io(int pid, const std::string& field);
/// User and system time of all threads of another process, to the nanosecond.
double proc_cpu_seconds(int pid);
/// Of all threads of the process.
std::uint64_t proc_context_switches(int pid);

/// Bytes that malloc has handed out.
std::uint64_t heap_bytes();

class TempDir {
 public:
  explicit TempDir(const std::string& parent);
  ~TempDir();
  TempDir(const TempDir&) = delete;
  TempDir& operator=(const TempDir&) = delete;
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

/// Copies a folder of ordinary files and syncs them, so that nobody pays for it later.
void copy_folder(const std::string& from, const std::string& to);
void sync_all();

}  // namespace sluice::bench
