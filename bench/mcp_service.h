#pragma once
// The least of an extension service: speaks MCP in lines on its standard input and output, offers
// one tool, and answers whatever it is asked. A process of its own: sluice_bench mcp-service.

namespace sluice::bench {

/// Until its input ends.
int mcp_service();

}  // namespace sluice::bench
