#pragma once
// What went wrong with a model API, as an Error whose kind says what to tell the person and whose
// retry() says whether asking again can help. Pure functions. Of what an API writes only short
// names (types, codes, request ids) get into an error: its sentences may quote the conversation.
//
// Reference: platform.openai.com/docs/guides/error-codes and docs.anthropic.com/en/api/errors
// (2026-11).

#include <chrono>
#include <string>
#include <string_view>

#include <boost/json/value.hpp>

#include "base/error.h"
#include "base/time.h"
#include "net/http_client.h"

namespace sluice {

/// Of an answer's own words, what is fit for a log: letters, digits and "_-.:/", at most 64 bytes;
/// empty if it is anything else.
std::string_view log_name(std::string_view text);

/// Bytes of an error's body that are looked at; errors are short, and what is cut off is not JSON.
inline constexpr std::size_t kErrorBytesMax = 64 * 1024;

/// An answer that is no stream: body as far as it was read. A wait that it asks for is honoured;
/// if it is longer than longest_wait there is no retry.
Error refusal_of(int status, const net::HttpHeaders& headers, std::string_view body,
                 std::chrono::milliseconds longest_wait, UnixMillis now);

/// An error that came within a stream: {"type": …, "code": …}, or anything else.
Error told_error(const boost::json::value& error);

/// No answer, or not all of it.
Error lost_answer(const net::FetchError& failure);

/// An answer that the API's protocol does not allow.
Error bad_answer(std::string what);

}  // namespace sluice
