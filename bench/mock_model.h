#pragma once
// A model server that costs nothing: answers every POST with a stream of OpenAI's chat completions,
// as long and as fast as the request's last "deltas=N every=MICROSECONDS" says. Each delta holds
// the moment at which it left, "@<microseconds>;", so that whoever reads it can tell how late it
// is. A process of its own: sluice_bench mock-model.

namespace sluice::bench {

/// Prints "port N" and serves until it is killed.
int mock_model();

}  // namespace sluice::bench
