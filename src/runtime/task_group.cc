#include "runtime/task_group.h"

#include <cstdio>
#include <cstdlib>

namespace sluice {

/// A coroutine that owns its own life: its frame is destroyed by the group, or when it ends.
struct TaskGroup::Root : ListNode {
  struct promise_type : detail::PromiseBase {
    Root* owner = nullptr;
    struct Handle {
      std::coroutine_handle<promise_type> handle;
      using promise_type = Root::promise_type;
    };
    Handle get_return_object() {
      return {std::coroutine_handle<promise_type>::from_promise(*this)};
    }
    void return_void() {}
    struct End {
      bool await_ready() noexcept { return false; }
      void await_suspend(std::coroutine_handle<promise_type> self) noexcept {
        Root* root = self.promise().owner;
        root->group->finished(*root);  // destroys the frame, this awaiter included
      }
      void await_resume() noexcept {}
    };
    End final_suspend() noexcept { return {}; }
  };

  static promise_type::Handle run(std::string_view name, Task<void> task) {
    try {
      co_await std::move(task);
    } catch (const std::exception& e) {
      std::fprintf(stderr, "task %.*s failed: %s\n", static_cast<int>(name.size()), name.data(),
                   e.what());
      std::abort();
    }
  }

  ~Root() {
    if (handle) handle.destroy();
  }

  TaskGroup* group = nullptr;
  std::coroutine_handle<promise_type> handle;
};

void TaskGroup::spawn(std::string_view name, Task<void> task) {
  auto* root = new Root;
  root->group = this;
  root->handle = Root::run(name, std::move(task)).handle;
  root->handle.promise().owner = root;
  roots_.push_back(*root);
  ++size_;
  root->handle.resume();
}

void TaskGroup::finished(Root& root) {
  root.unlink();
  --size_;
  if (size_ == 0) changed_.pulse();
  delete &root;
}

void TaskGroup::cancel() {
  while (!roots_.empty()) {
    Root& root = roots_.pop_front();
    --size_;
    delete &root;
  }
  changed_.pulse();
}

Task<std::size_t> TaskGroup::join(MonoTime deadline) {
  while (size_ > 0) {
    const bool in_time = co_await changed_.wait_until(deadline);
    if (!in_time) break;
  }
  co_return size_;
}

}  // namespace sluice
