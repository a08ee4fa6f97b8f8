#pragma once
// A mark that a process has and everything that it starts: they inherit it, and can't take it off
// without meaning to. It finds what left its process group and session (setsid), which has
// no tie to its service any more once its parents are gone; cgroups would do that too, but need
// rights that a daemon does not have everywhere.
//
// The mark is the hard limit on RLIMIT_LOCKS, which no kernel since 2.4.25 looks at and every one
// keeps, hands on, and shows in /proc/PID/limits. It can be lowered, so a process that wants to
// hide can; so could one that runs under another user.
//
// put_mark() and kill_marked() make system calls only: they run where nothing may be allocated.
//
// Reference: getrlimit(2), proc_pid_limits(5).

#include <cstddef>
#include <cstdint>

namespace sluice::services {

/// One that no other process of this machine has, if we never use the number again.
std::uint64_t make_mark(std::uint32_t number);
/// On this process, before it becomes another program.
void put_mark(std::uint64_t mark);
/// Kills every process with one of the marks, until a look finds none; a few looks at most.
void kill_marked(const std::uint64_t* marks, std::size_t count);

}  // namespace sluice::services
