#pragma once
// An intrusive doubly-linked list whose nodes take themselves out when they die. It is what makes
// tear-down by destruction work: a coroutine frame that is destroyed while it waits holds its own
// node, so nothing can resume it afterwards.

namespace sluice {

/// A place in at most one list. Not copyable; the destructor unlinks. Shard-confined.
class ListNode {
 public:
  ListNode() : prev_(this), next_(this) {}
  ~ListNode() {
    if (linked()) unlink();
  }
  ListNode(const ListNode&) = delete;
  ListNode& operator=(const ListNode&) = delete;

  bool linked() const { return next_ != this; }
  void unlink() {
    prev_->next_ = next_;
    next_->prev_ = prev_;
    prev_ = next_ = this;
  }
  /// Goes where other is; other is in no list then.
  void take_place_of(ListNode& other) {
    unlink();
    if (!other.linked()) return;
    prev_ = other.prev_;
    next_ = &other;
    prev_->next_ = this;
    other.prev_ = this;
    other.unlink();
  }

 private:
  template <class T>
  friend class List;
  ListNode* prev_;
  ListNode* next_;
};

/// T derives from ListNode. The list owns nothing. Destroying it unlinks what is left.
template <class T>
class List {
 public:
  ~List() {
    while (!empty()) head_.next_->unlink();
  }

  bool empty() const { return !head_.linked(); }
  void push_back(T& item) {
    ListNode& node = item;
    if (node.linked()) node.unlink();
    node.prev_ = head_.prev_;
    node.next_ = &head_;
    head_.prev_->next_ = &node;
    head_.prev_ = &node;
  }
  T& front() { return *static_cast<T*>(head_.next_); }
  T& pop_front() {
    T& item = front();
    static_cast<ListNode&>(item).unlink();
    return item;
  }
  /// The item n places from the front, wrapping; the list must not be empty. O(n).
  T& at_wrapped(unsigned long n) {
    ListNode* node = head_.next_;
    while (n-- > 0) {
      node = node->next_;
      if (node == &head_) node = node->next_;
    }
    return *static_cast<T*>(node);
  }
  /// Moves all of other's items to the back of this one, in order.
  void splice_back(List& other) {
    while (!other.empty()) push_back(other.front());
  }
  template <class F>
  void for_each(F&& f) {
    for (ListNode* node = head_.next_; node != &head_;) {
      ListNode* next = node->next_;
      f(*static_cast<T*>(node));
      node = next;
    }
  }

 private:
  ListNode head_;
};

}  // namespace sluice
