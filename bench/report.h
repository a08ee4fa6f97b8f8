#pragma once
// Report: the rows that a suite measures, as a table for people and as JSON for programs.
//
// Each section of a suite runs in a process of its own, so that one's memory and threads do not
// show in another's figures, and one that dies costs its own rows only. Single-threaded.

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <boost/json/value.hpp>

namespace sluice::bench {

struct Row {
  std::string name;  // with what it depends on: messages in flight, rows stored
  double value = 0;
  std::string unit;
  std::optional<double> reference;  // measured in the same run, in the same unit
  std::string reference_text;       // where it could not be measured here: what it is
  std::string goal;                 // empty: only reported
  bool reached = true;
};

/// A goal of the form "value <= factor * reference", or ">=".
Row at_most(std::string name, double value, std::string unit, double reference, double factor);
Row at_least(std::string name, double value, std::string unit, double reference, double factor);
/// A goal that is a figure of its own.
Row below(std::string name, double value, std::string unit, double most);
/// Of something that must not happen: how often it did.
Row none(std::string name, double count);
/// A goal that is the reference itself.
Row unchanged(std::string name, double value, double reference);
Row reported(std::string name, double value, std::string unit);

/// How long and how large; --smoke makes all of it tiny, so that it only shows that rows run.
struct Scale {
  bool smoke = false;
  std::string directory;  // on the file system to measure; sections make their own folders in it
  std::string programs;   // where sluice and sluice_sim are
  std::string sanitized_programs;  // and their builds under ASan; may be missing

  int rounds(int full) const { return smoke ? 1 : full; }
  double seconds(double full) const { return smoke ? 0.1 : full; }
  std::size_t count(std::size_t full, std::size_t small) const { return smoke ? small : full; }
};

struct Section {
  std::string name;
  std::function<std::vector<Row>(const Scale&)> run;
};

/// Runs sections one after another, each in a child process, and ends what these leave behind.
/// False if one of them died.
bool run_sections(const std::vector<Section>& sections, const Scale& scale, std::vector<Row>& rows);

std::string to_json(const std::vector<Row>& rows);
/// The rows in such a text; a figure of another program's.
std::vector<Row> rows_from_json(std::string_view text);
std::string table(const std::vector<Row>& rows);

}  // namespace sluice::bench
