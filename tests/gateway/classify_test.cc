// What a person is told, by the kind of the error and who is at fault; its text is never searched
// (seed 001: W13).

#include "gateway/classify.h"

#include <gtest/gtest.h>

namespace sluice {
namespace {

std::string_view kind_told(ErrorKind kind, ErrorSource source = ErrorSource::kSelf,
                           std::string context = {}) {
  return classify(Error(kind, std::move(context), source)).kind;
}

TEST(ClassifyTest, EveryKindOfAPeersErrorHasItsWords) {
  const ErrorSource peer = ErrorSource::kPeer;
  EXPECT_EQ(kind_told(ErrorKind::kInternal, peer), "internal");
  EXPECT_EQ(kind_told(ErrorKind::kInvalidArgument, peer), "validation_error");
  EXPECT_EQ(kind_told(ErrorKind::kNotFound, peer), "provider_error");
  EXPECT_EQ(kind_told(ErrorKind::kConflict, peer), "provider_error");
  EXPECT_EQ(kind_told(ErrorKind::kUnauthenticated, peer), "api_key_missing");
  EXPECT_EQ(kind_told(ErrorKind::kPermissionDenied, peer), "permission_denied");
  EXPECT_EQ(kind_told(ErrorKind::kTooLarge, peer), "validation_error");
  EXPECT_EQ(kind_told(ErrorKind::kOverloaded, peer), "provider_error");
  EXPECT_EQ(kind_told(ErrorKind::kRateLimited, peer), "provider_error");
  EXPECT_EQ(kind_told(ErrorKind::kUnavailable, peer), "provider_error");
  EXPECT_EQ(kind_told(ErrorKind::kTimeout, peer), "timeout");
  EXPECT_EQ(kind_told(ErrorKind::kCancelled, peer), "internal");
  EXPECT_EQ(kind_told(ErrorKind::kUnsupported, peer), "provider_error");
  EXPECT_EQ(kind_told(ErrorKind::kBadResponse, peer), "execution_failed");
  EXPECT_EQ(kind_told(ErrorKind::kStorageFailed, peer), "internal");
  EXPECT_EQ(kind_told(ErrorKind::kDiskFull, peer), "internal");
  EXPECT_EQ(kind_told(ErrorKind::kCorrupt, peer), "internal");
}

TEST(ClassifyTest, WhatOnlyWeCanHaveDoneWrongIsOurs) {
  for (const ErrorKind kind :
       {ErrorKind::kNotFound, ErrorKind::kConflict, ErrorKind::kUnsupported}) {
    EXPECT_EQ(kind_told(kind, ErrorSource::kSelf), "internal") << to_string(kind);
  }
}

TEST(ClassifyTest, EveryKindSaysAWholeSentence) {
  for (int k = 0; k <= static_cast<int>(ErrorKind::kCorrupt); ++k) {
    for (const ErrorSource source :
         {ErrorSource::kSelf, ErrorSource::kPeer, ErrorSource::kPlatform}) {
      const UserError told = classify(Error(static_cast<ErrorKind>(k), "", source));
      EXPECT_FALSE(told.kind.empty());
      ASSERT_FALSE(told.text.empty());
      EXPECT_EQ(told.text.back(), '.');
      if (!told.suggestion.empty()) EXPECT_EQ(told.suggestion.back(), '.');
    }
  }
}

// Texts that the seed's published versions sorted by the words in them, most of them wrongly.
TEST(ClassifyTest, TextOfAnErrorChangesNothing) {
  for (const char* text : {"provider path permission denied", "operation timed out after 30s",
                           "State store error: disk full", "rate limit exceeded: scheduler",
                           "empty queue invariant violated", "missing api key for anthropic"}) {
    EXPECT_EQ(kind_told(ErrorKind::kTimeout, ErrorSource::kPeer, text), "timeout");
    EXPECT_EQ(kind_told(ErrorKind::kInternal, ErrorSource::kSelf, text), "internal");
    EXPECT_EQ(kind_told(ErrorKind::kPermissionDenied, ErrorSource::kPeer, text),
              "permission_denied");
  }
}

TEST(ClassifyTest, CauseDeepInsideCounts) {
  const Error deep = Error(ErrorKind::kTimeout, "recv", ErrorSource::kPeer)
                         .within("model call")
                         .within("execute phase failed");
  EXPECT_EQ(classify(deep).kind, "timeout");
}

}  // namespace
}  // namespace sluice
