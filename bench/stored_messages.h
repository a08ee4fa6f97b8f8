#pragma once
// What a daemon's store says that it was told, read beside it.

#include <cstddef>
#include <string>
#include <unordered_map>

namespace sluice::bench {

/// Once nothing is pending any more: how often each text of a person is in the log, answered or
/// not. data: the daemon's directory. Ends the benchmark if the store can't be read, or nothing
/// comes to rest in so many seconds.
std::unordered_map<std::string, int> texts_of_people(const std::string& data, double seconds);

/// Messages that were answered by one line of their agent's, at the first attempt.
std::size_t answered_at_once(const std::string& data);

}  // namespace sluice::bench
