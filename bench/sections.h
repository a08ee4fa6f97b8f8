#pragma once
// The sections of the suites, one function each; see README.md for what they measure.

#include <vector>

#include "report.h"

namespace sluice::bench {

// core
std::vector<Row> pipeline(const Scale& scale);
std::vector<Row> durable(const Scale& scale);
std::vector<Row> latency(const Scale& scale);
std::vector<Row> turn(const Scale& scale);
std::vector<Row> http(const Scale& scale);
std::vector<Row> daemon(const Scale& scale);
std::vector<Row> memory(const Scale& scale);
std::vector<Row> waiting(const Scale& scale);
std::vector<Row> recovery(const Scale& scale);
std::vector<Row> simulation(const Scale& scale);

// agents
std::vector<Row> first_token(const Scale& scale);
std::vector<Row> streams(const Scale& scale);
std::vector<Row> pages(const Scale& scale);
std::vector<Row> package(const Scale& scale);

// lifecycle
std::vector<Row> guards(const Scale& scale);
std::vector<Row> connections(const Scale& scale);
std::vector<Row> queue(const Scale& scale);
std::vector<Row> kept(const Scale& scale);
std::vector<Row> times(const Scale& scale);
std::vector<Row> followers(const Scale& scale);
std::vector<Row> slow_turns(const Scale& scale);
std::vector<Row> bad_successors(const Scale& scale);
std::vector<Row> endurance(const Scale& scale);
std::vector<Row> supervision(const Scale& scale);

}  // namespace sluice::bench
