#include "runtime/timers.h"

#include "base/assert.h"

namespace sluice {

Timer::~Timer() { disarm(); }

void Timer::disarm() {
  if (heap_ != nullptr) heap_->remove(*this);
}

Timers::~Timers() {
  while (root_ != nullptr) remove(*root_);
}

Timer* Timers::meld(Timer* a, Timer* b) {
  if (a == nullptr) return b;
  if (b == nullptr) return a;
  if (before(*b, *a)) std::swap(a, b);
  b->sibling_ = a->child_;
  if (b->sibling_ != nullptr) b->sibling_->back_ = b;
  b->back_ = a;
  a->child_ = b;
  return a;
}

Timer* Timers::merge_pairs(Timer* first) {
  // First pass: meld neighbours left to right onto a stack; second pass: meld the stack.
  Timer* stack = nullptr;
  while (first != nullptr) {
    Timer* a = first;
    Timer* b = a->sibling_;
    first = b == nullptr ? nullptr : b->sibling_;
    a->sibling_ = a->back_ = nullptr;
    if (b != nullptr) b->sibling_ = b->back_ = nullptr;
    Timer* pair = meld(a, b);
    pair->sibling_ = stack;
    stack = pair;
  }
  Timer* root = nullptr;
  while (stack != nullptr) {
    Timer* next = stack->sibling_;
    stack->sibling_ = nullptr;
    root = meld(root, stack);
    stack = next;
  }
  return root;
}

void Timers::remove(Timer& timer) {
  Timer* children = merge_pairs(timer.child_);
  timer.child_ = nullptr;
  if (&timer == root_) {
    root_ = children;
  } else {
    if (timer.back_->child_ == &timer) {
      timer.back_->child_ = timer.sibling_;
    } else {
      timer.back_->sibling_ = timer.sibling_;
    }
    if (timer.sibling_ != nullptr) timer.sibling_->back_ = timer.back_;
    timer.sibling_ = timer.back_ = nullptr;
    root_ = meld(root_, children);
  }
  timer.heap_ = nullptr;
}

void Timers::arm(Timer& timer, MonoTime when) {
  SLUICE_ASSERT(timer.heap_ == nullptr || timer.heap_ == this);
  timer.disarm();
  timer.heap_ = this;
  timer.when_ = when;
  timer.order_ = ++armed_total_;
  root_ = meld(root_, &timer);
}

std::size_t Timers::advance(MonoTime now) {
  // What is armed while firing, for now or earlier, waits for the next call: a timer that re-arms
  // itself for "at once" must not hold the shard.
  const std::uint64_t last = armed_total_;
  std::size_t fired = 0;
  while (root_ != nullptr && root_->when_ <= now && root_->order_ <= last) {
    Timer& due = *root_;
    remove(due);
    ++fired;
    due.fire();
  }
  return fired;
}

}  // namespace sluice
