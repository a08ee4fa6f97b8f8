#pragma once
// guarded(): runs a task of a channel, an agent or a hook. Whatever it throws becomes an Error,
// since a fault of one of them must end as something that people can see (C17, C19), never as the
// end of the process.

#include <exception>
#include <string>
#include <utility>

#include "base/result.h"
#include "runtime/task.h"

namespace sluice {

/// What is being handled now, in words; only inside a catch block.
inline std::string words_of_current_exception() {
  try {
    throw;
  } catch (const std::exception& e) {
    return e.what();
  } catch (...) {
    return "something that is not a std::exception";
  }
}

/// kInternal, "WHO threw: …". who must outlive the task.
template <class T>
Task<Result<T>> guarded(const char* who, Task<Result<T>> task) {
  std::string what;
  try {
    co_return co_await std::move(task);
  } catch (...) {
    what = words_of_current_exception();
  }
  co_return Error(ErrorKind::kInternal, std::string(who) + " threw: " + what);
}

/// For a task without a result of its own.
inline Task<Result<void>> guarded(const char* who, Task<void> task) {
  std::string what;
  try {
    co_await std::move(task);
    co_return Result<void>();
  } catch (...) {
    what = words_of_current_exception();
  }
  co_return Error(ErrorKind::kInternal, std::string(who) + " threw: " + what);
}

}  // namespace sluice
