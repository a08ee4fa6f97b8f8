#include "measure.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <ctime>
#include <filesystem>
#include <fstream>

#include <malloc.h>
#include <unistd.h>

#include "base/assert.h"

/// jemalloc's; null where the program runs on another allocator (cmake/allocator.cmake).
extern "C" [[gnu::weak]] int mallctl(const char*, void*, std::size_t*, void*, std::size_t);

namespace sluice::bench {
namespace {

double clock_seconds(clockid_t clock) {
  timespec t{};
  clock_gettime(clock, &t);
  return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_nsec) / 1e9;
}

std::string proc_path(int pid, const std::string& name) {
  return "/proc/" + (pid == 0 ? std::string("self") : std::to_string(pid)) + "/" + name;
}

std::uint64_t field_of(const std::string& path, const std::string& field) {
  std::ifstream in(path);
  for (std::string line; std::getline(in, line);) {
    if (line.starts_with(field)) return std::strtoull(line.c_str() + field.size(), nullptr, 10);
  }
  return 0;
}

}  // namespace

double wall_seconds() { return clock_seconds(CLOCK_MONOTONIC); }
double thread_cpu_seconds() { return clock_seconds(CLOCK_THREAD_CPUTIME_ID); }
double process_cpu_seconds() { return clock_seconds(CLOCK_PROCESS_CPUTIME_ID); }

void rest(double seconds) { ::usleep(static_cast<useconds_t>(seconds * 1e6)); }

double quantile(std::vector<double> values, double q) {
  if (values.empty()) return 0;
  const auto last = static_cast<double>(values.size() - 1);
  const auto at = static_cast<std::ptrdiff_t>(std::floor(q * last + 0.5));
  std::nth_element(values.begin(), values.begin() + at, values.end());
  return values[static_cast<std::size_t>(at)];
}

std::uint64_t proc_status_bytes(int pid, const std::string& field) {
  return field_of(proc_path(pid, "status"), field) * 1024;
}

std::uint64_t proc_io(int pid, const std::string& field) {
  return field_of(proc_path(pid, "io"), field);
}

double proc_cpu_seconds(int pid) {
  double total = 0;
  std::error_code ignored;
  for (const auto& thread : std::filesystem::directory_iterator(proc_path(pid, "task"), ignored)) {
    double nanoseconds = 0;
    std::ifstream(thread.path() / "schedstat") >> nanoseconds;
    total += nanoseconds * 1e-9;
  }
  return total;
}

std::uint64_t proc_context_switches(int pid) {
  std::uint64_t total = 0;
  std::error_code ignored;
  for (const auto& thread : std::filesystem::directory_iterator(proc_path(pid, "task"), ignored)) {
    total += field_of(thread.path() / "status", "voluntary_ctxt_switches:");
  }
  return total;
}

std::uint64_t heap_bytes() {
  if (mallctl != nullptr) {
    std::uint64_t epoch = 1;  // figures are those of the last look
    std::size_t size = sizeof epoch;
    (void)mallctl("epoch", &epoch, &size, &epoch, size);
    std::size_t allocated = 0;
    size = sizeof allocated;
    if (mallctl("stats.allocated", &allocated, &size, nullptr, 0) == 0) return allocated;
  }
  const struct mallinfo2 info = ::mallinfo2();
  return info.uordblks + info.hblkhd;
}

TempDir::TempDir(const std::string& parent) : path_(parent + "/part-XXXXXX") {
  std::filesystem::create_directories(parent);
  SLUICE_ASSERT(::mkdtemp(path_.data()) != nullptr);
}

TempDir::~TempDir() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

void copy_folder(const std::string& from, const std::string& to) {
  std::filesystem::create_directories(to);
  for (const auto& entry : std::filesystem::directory_iterator(from)) {
    if (!entry.is_regular_file()) continue;
    std::filesystem::copy_file(entry.path(), std::filesystem::path(to) / entry.path().filename(),
                               std::filesystem::copy_options::overwrite_existing);
  }
  sync_all();
}

void sync_all() { ::sync(); }

}  // namespace sluice::bench
