#include <set>

#include <gtest/gtest.h>

#include "auth/codes.h"
#include "auth/credentials.h"
#include "auth/grants.h"
#include "auth/origins.h"
#include "auth/secret_text.h"

namespace sluice::auth {
namespace {

class ManualClock : public Clock {
 public:
  MonoTime now() override { return now_; }
  UnixMillis wall() override { return UnixMillis{1'700'000'000'000 + now_.ns / 1'000'000}; }
  MonoTime now_;
};

/// Keeps marks; commits at once, or fails.
class MarkStore : public Store {
 public:
  explicit MarkStore(Loop& loop) : Store(loop) {}
  std::vector<std::pair<std::string, std::string>> marks() const {
    return {marks_.begin(), marks_.end()};
  }
  std::string everything() const {
    std::string out;
    for (const auto& [name, value] : marks_) out += name + "=" + value + "\n";
    return out;
  }
  bool fails = false;
  int commits = 0;

 private:
  void submit(std::shared_ptr<CommitRequest> request) override {
    if (fails) {
      request->result.emplace(Error(ErrorKind::kDiskFull));
      return;
    }
    ++commits;
    for (const auto& [name, value] : request->transaction.changes.marks) marks_[name] = value;
    request->result.emplace(Receipt{});
  }
  void submit(std::shared_ptr<ReadRequest> request) override { request->done = true; }
  std::map<std::string, std::string> marks_;
};

/// Runs a task that never has to wait.
template <class T>
T run(Task<T> task) {
  std::optional<T> result;
  struct Into {
    static Task<void> slot(Task<T> t, std::optional<T>* out) {
      out->emplace(co_await std::move(t));
    }
  };
  Running running(Into::slot(std::move(task), &result));
  running.start();
  return std::move(*result);
}

class AuthTest : public ::testing::Test {
 protected:
  Grants::NewToken add(std::string name, Scopes scopes = {Scope::kChat}) {
    return *run(grants_.add_token(std::move(name), "", scopes));
  }
  void advance(Duration d) { clock_.now_ = clock_.now_ + d; }
  ManualClock clock_;
  Loop loop_{clock_, 1};
  MarkStore store_{loop_};
  Grants grants_{loop_, store_};
};

TEST(SecretTextTest, SecretsHave256BitsAndNeverRepeat) {
  std::set<std::string> seen;
  for (int i = 0; i < 1000; ++i) {
    const std::string secret = random_secret();
    EXPECT_EQ(secret.size(), 43u);  // 256 bits of 6 each
    EXPECT_TRUE(seen.insert(secret).second);
  }
}

TEST(SecretTextTest, DigestsAreSha256AndSurviveHex) {
  const Digest digest = digest_of("abc");
  EXPECT_EQ(to_hex(digest), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_TRUE(equal(*digest_from_hex(to_hex(digest)), digest));
  EXPECT_FALSE(equal(digest, digest_of("abd")));
  EXPECT_FALSE(digest_from_hex("xyz"));
}

TEST_F(AuthTest, ATokenIsKnownByItsTextAndTellsWhoAndWhat) {
  const Grants::NewToken token = add("laptop", {Scope::kChat, Scope::kMetrics});
  const std::optional<Caller> caller = grants_.check_token(token.text);
  ASSERT_TRUE(caller);
  EXPECT_EQ(caller->person, "laptop");
  EXPECT_TRUE(caller->scopes.has(Scope::kMetrics));
  EXPECT_FALSE(caller->scopes.has(Scope::kAdmin));
  EXPECT_FALSE(caller->by_cookie);
}

TEST_F(AuthTest, ATokenIsRefusedWhenOneCharacterIsWrong) {
  const std::string text = add("laptop").text;
  for (std::size_t i = 0; i < text.size(); ++i) {
    std::string wrong = text;
    wrong[i] = wrong[i] == 'x' ? 'y' : 'x';
    EXPECT_FALSE(grants_.check_token(wrong)) << i;
  }
  EXPECT_FALSE(grants_.check_token(text + "x"));
  EXPECT_FALSE(grants_.check_token(""));
  EXPECT_FALSE(grants_.check_token(std::string(10'000, 'a')));
}

TEST_F(AuthTest, ASecretIsNotInTheStore) {
  const Grants::NewToken token = add("laptop");
  EXPECT_EQ(store_.everything().find(token.text.substr(token.text.size() - 43)), std::string::npos);
}

TEST_F(AuthTest, TokensSurviveARestart) {
  const std::string text = add("laptop").text;
  Grants again(loop_, store_);
  EXPECT_TRUE(again.load(store_.marks()).empty());
  EXPECT_TRUE(again.check_token(text));
}

TEST_F(AuthTest, ARevokedTokenIsRefusedAtOnceAndAfterARestart) {
  const Grants::NewToken token = add("laptop");
  EXPECT_TRUE(run(grants_.revoke_token("laptop")));
  EXPECT_FALSE(grants_.check_token(token.text));
  Grants again(loop_, store_);
  again.load(store_.marks());
  EXPECT_FALSE(again.check_token(token.text));
  EXPECT_EQ(run(grants_.revoke_token("laptop")).error().kind(), ErrorKind::kNotFound);
}

TEST_F(AuthTest, ATokenThatIsNotOnDiskDoesNotExist) {
  store_.fails = true;
  EXPECT_EQ(run(grants_.add_token("laptop", "", {Scope::kChat})).error().kind(),
            ErrorKind::kDiskFull);
  EXPECT_TRUE(grants_.tokens().empty());
}

TEST_F(AuthTest, TheLastUseOfATokenIsKnownAtOnceAndSurvivesARestartOnceSaved) {
  const std::string text = add("laptop").text;
  EXPECT_EQ(grants_.tokens().at(0).last_used_at.ms, 0);
  advance(std::chrono::hours(1));
  ASSERT_TRUE(grants_.use_token(text));
  const UnixMillis used = clock_.wall();
  EXPECT_EQ(grants_.tokens().at(0).last_used_at, used);
  EXPECT_TRUE(run(grants_.save_uses()));
  Grants again(loop_, store_);
  EXPECT_TRUE(again.load(store_.marks()).empty());
  EXPECT_EQ(again.tokens().at(0).last_used_at, used);
}

TEST_F(AuthTest, UsesAreWrittenOnceHoweverManyThereWere) {
  const std::string one = add("one").text;
  const std::string two = add("two").text;
  const int before = store_.commits;
  for (int i = 0; i < 100; ++i) {
    ASSERT_TRUE(grants_.use_token(one));
    ASSERT_TRUE(grants_.use_token(two));
  }
  EXPECT_TRUE(run(grants_.save_uses()));
  EXPECT_TRUE(run(grants_.save_uses()));
  EXPECT_EQ(store_.commits, before + 1);
}

TEST_F(AuthTest, LookingAtATokenIsNoUse) {
  const std::string text = add("laptop").text;
  EXPECT_TRUE(grants_.check_token(text));
  EXPECT_FALSE(grants_.use_token(text + "x"));
  EXPECT_EQ(grants_.tokens().at(0).last_used_at.ms, 0);
}

TEST_F(AuthTest, SavingUsesDoesNotBringARevokedTokenBack) {
  const std::string text = add("laptop").text;
  ASSERT_TRUE(grants_.use_token(text));
  EXPECT_TRUE(run(grants_.revoke_token("laptop")));
  EXPECT_TRUE(run(grants_.save_uses()));
  Grants again(loop_, store_);
  again.load(store_.marks());
  EXPECT_FALSE(again.check_token(text));
}

TEST_F(AuthTest, NamesOfTokensAreUniqueAndPlain) {
  add("laptop");
  EXPECT_EQ(run(grants_.add_token("laptop", "", {Scope::kChat})).error().kind(),
            ErrorKind::kConflict);
  for (const char* bad : {"", "a b", "a\n", "ä"}) {
    EXPECT_EQ(run(grants_.add_token(bad, "", {Scope::kChat})).error().kind(),
              ErrorKind::kInvalidArgument);
  }
}

TEST_F(AuthTest, MarksThatAreNotOursGrantNothingAndAreNamed) {
  Grants again(loop_, store_);
  const auto broken =
      again.load({{"token:x", "{"}, {"token:y", "{}"}, {"sessions", "3"}, {"clock_accepted", "5"}});
  EXPECT_EQ(broken, (std::vector<std::string>{"token:x", "token:y", "sessions"}));
  EXPECT_TRUE(again.tokens().empty());
}

TEST_F(AuthTest, ASessionIsKnownByItsCookieUntilItExpires) {
  const std::string cookie = *run(grants_.open_session("owner", {Scope::kChat}));
  EXPECT_TRUE(grants_.check_session(cookie)->by_cookie);
  EXPECT_FALSE(grants_.check_token(cookie));  // a cookie is no token
  Grants again(loop_, store_);
  again.load(store_.marks());
  EXPECT_TRUE(again.check_session(cookie));
  advance(Grants::kSessionLife);
  EXPECT_FALSE(grants_.check_session(cookie));
}

TEST_F(AuthTest, TheOldestSessionGoesWhenThereAreTooMany) {
  const std::string first = *run(grants_.open_session("owner", {Scope::kChat}));
  advance(std::chrono::seconds(1));
  std::string last;
  for (std::size_t i = 0; i < Grants::kMaxSessions; ++i) {
    last = *run(grants_.open_session("owner", {Scope::kChat}));
  }
  EXPECT_EQ(grants_.sessions(), Grants::kMaxSessions);
  EXPECT_FALSE(grants_.check_session(first));
  EXPECT_TRUE(grants_.check_session(last));
}

TEST_F(AuthTest, AClosedSessionIsRefused) {
  const std::string cookie = *run(grants_.open_session("owner", {Scope::kChat}));
  EXPECT_TRUE(run(grants_.close_session(cookie)));
  EXPECT_FALSE(grants_.check_session(cookie));
}

TEST_F(AuthTest, ACodeWorksOnceAndForAWhile) {
  OneTimeCodes codes(loop_);
  const std::string first = codes.issue({"owner", {Scope::kChat}});
  EXPECT_FALSE(codes.redeem("nonsense"));
  EXPECT_EQ(codes.redeem(first)->person, "owner");
  EXPECT_FALSE(codes.redeem(first));
  const std::string second = codes.issue({"owner", {Scope::kChat}});
  advance(OneTimeCodes::kLife);
  EXPECT_FALSE(codes.redeem(second));
}

TEST_F(AuthTest, Item65ASuccessorKnowsTheCodesAndTheirEnds) {
  OneTimeCodes codes(loop_);
  const std::string first = codes.issue({"ann b", {Scope::kChat, Scope::kAdmin}});
  const std::string used = codes.issue({"owner", {Scope::kChat}});
  const std::string late = codes.issue({"owner", {Scope::kChat}});
  EXPECT_TRUE(codes.redeem(used));
  advance(OneTimeCodes::kLife / 2);
  OneTimeCodes successor(loop_);
  successor.remember(codes.memory());
  EXPECT_EQ(successor.size(), 2u);
  const auto holder = successor.redeem(first);
  ASSERT_TRUE(holder);
  EXPECT_EQ(holder->person, "ann b");
  EXPECT_EQ(holder->scopes, (Scopes{Scope::kChat, Scope::kAdmin}));
  EXPECT_FALSE(successor.redeem(first));
  EXPECT_FALSE(successor.redeem(used));
  advance(OneTimeCodes::kLife - OneTimeCodes::kLife / 2);
  EXPECT_FALSE(successor.redeem(late));
}

TEST_F(AuthTest, WhatIsNoMemoryOfCodesIsLeft) {
  OneTimeCodes codes(loop_);
  codes.remember("zz 5 chat ann\n" + std::string(64, 'a') + " 99 root ann\n\n 1 2");
  EXPECT_EQ(codes.size(), 0u);
}

TEST_F(AuthTest, CodesAreBounded) {
  OneTimeCodes codes(loop_);
  for (int i = 0; i < 300; ++i) codes.issue({"owner", {Scope::kChat}});
  EXPECT_EQ(codes.size(), OneTimeCodes::kMost);
}

TEST(ScopesTest, WordsThatAreNoScopeAreNamed) {
  EXPECT_EQ(*Scopes::parse({"metrics", "chat"}), (Scopes{Scope::kChat, Scope::kMetrics}));
  const auto wrong = Scopes::parse({"chat", "root"});
  ASSERT_FALSE(wrong);
  EXPECT_NE(wrong.error().context().find("\"root\""), std::string::npos);
  EXPECT_FALSE(Scopes::parse({}));
}

Origins loopback() { return *Origins::make({{"127.0.0.1", 8484, false}}, {"chat.example.org"}); }

TEST(OriginsTest, AnswersToItsAddressLocalhostAndPublicNames) {
  const Origins origins = loopback();
  for (const char* host : {"127.0.0.1:8484", "localhost:8484", "LOCALHOST:8484", "chat.example.org",
                           "chat.example.org:443"}) {
    EXPECT_TRUE(origins.host_allowed(host)) << host;
  }
}

TEST(OriginsTest, ForeignHostsAreRefused) {
  const Origins origins = loopback();
  for (const char* host :
       {"", "evil.example", "evil.example:8484", "localhost", "127.0.0.1:8485", "127.0.0.2:8484",
        "chat.example.org.evil.example", "chat.example.org@evil", "[::1]:8484", "localhost:8484:1",
        "localhost:", "localhost:8484 ", "192.168.0.1:8484"}) {
    EXPECT_FALSE(origins.host_allowed(host)) << host;
  }
}

TEST(OriginsTest, AListenerOnAllAddressesAnswersToLiteralsButNotToNames) {
  const Origins origins = *Origins::make({{"0.0.0.0", 80, false}}, {});
  EXPECT_TRUE(origins.host_allowed("192.168.0.7"));
  EXPECT_TRUE(origins.host_allowed("192.168.0.7:80"));
  EXPECT_FALSE(origins.host_allowed("192.168.0.7:81"));
  EXPECT_FALSE(origins.host_allowed("rebound.example"));
}

TEST(OriginsTest, ForeignOriginsAreRefusedWhateverTheMethod) {
  const Origins origins = loopback();
  for (const char* origin :
       {"https://evil.example", "null", "", "http://127.0.0.1:1", "ftp://localhost:8484",
        "http://localhost:8484/", "http://chat.example.org.evil.example"}) {
    EXPECT_FALSE(origins.check("GET", "localhost:8484", origin, false)) << origin;
  }
  EXPECT_TRUE(origins.check("POST", "localhost:8484", "http://localhost:8484", true));
  EXPECT_TRUE(origins.check("POST", "chat.example.org", "https://chat.example.org", true));
}

TEST(OriginsTest, AWriteByCookieNeedsAnOriginAndOneByTokenDoesNot) {
  const Origins origins = loopback();
  EXPECT_FALSE(origins.check("POST", "localhost:8484", std::nullopt, true));
  EXPECT_TRUE(origins.check("GET", "localhost:8484", std::nullopt, true));
  EXPECT_TRUE(origins.check("POST", "localhost:8484", std::nullopt, false));
  EXPECT_FALSE(origins.check("GET", std::nullopt, std::nullopt, false));
}

TEST(OriginsTest, APublicHostThatIsNoneIsNamed) {
  const auto made = Origins::make({}, {"https://chat.example.org"});
  ASSERT_FALSE(made);
  EXPECT_NE(made.error().context().find("https://chat.example.org"), std::string::npos);
}

TEST(CredentialsTest, FindsTheBearerToken) {
  EXPECT_EQ(bearer("Bearer abc"), "abc");
  EXPECT_EQ(bearer("bearer  abc "), "abc");
  for (const char* none : {"", "Bearer", "Bearer ", "Basic abc", "abc"}) {
    EXPECT_FALSE(bearer(none)) << none;
  }
}

TEST(CredentialsTest, FindsTheCookieOfItsKind) {
  EXPECT_EQ(session_cookie("a=b; sluice_session=xyz; c=d", false), "xyz");
  EXPECT_EQ(session_cookie("__Host-sluice_session=xyz", true), "xyz");
  EXPECT_FALSE(session_cookie("sluice_session=xyz", true));
  EXPECT_FALSE(session_cookie("xsluice_session=xyz; sluice_session", false));
}

TEST(CredentialsTest, TheCookieIsHiddenFromScriptsAndOtherSites) {
  const std::string header = set_session_cookie("xyz", true);
  for (const char* part :
       {"__Host-sluice_session=xyz", "HttpOnly", "SameSite=Strict", "Secure", "Path=/"}) {
    EXPECT_NE(header.find(part), std::string::npos) << part;
  }
  EXPECT_NE(set_session_cookie("", false).find("Max-Age=0"), std::string::npos);
}

}  // namespace
}  // namespace sluice::auth
