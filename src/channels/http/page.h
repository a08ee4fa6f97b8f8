#pragma once
// The chat page: the files of panel/, which are part of the binary. They hold nothing of anybody:
// what a page shows comes from the API, with the cookie of a signed-in browser.
//
// Strict by header: scripts, styles and requests are the page's own only, and nobody may frame it.
// Thread: any; immutable.

#include <span>
#include <string_view>

#include "net/router.h"

namespace sluice::http {

struct PageFile {
  std::string_view name;
  std::string_view tag;  // ETag, quotes included: changes with the file
  std::string_view plain;
  std::string_view gzip;
};

/// Made by cmake/embed.cmake.
std::span<const PageFile> page_files();

/// GET / and one route for each file.
void mount_page(net::Router& router);

/// The policy that every page of ours has.
inline constexpr std::string_view kContentSecurityPolicy =
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src 'self' data: blob:; frame-ancestors 'none'; base-uri 'none'; form-action 'self'";

}  // namespace sluice::http
