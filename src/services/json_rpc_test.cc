#include "services/json_rpc.h"

#include <boost/json.hpp>
#include <gmock/gmock.h>

#include "services/dialect.h"

namespace sluice::services {
namespace {

using Type = RpcMessage::Type;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::SizeIs;

RpcMessage one(std::string_view text) {
  auto read = decode_rpc(text);
  EXPECT_TRUE(read) << text;
  return read && !read->empty() ? std::move(read->front()) : RpcMessage();
}

TEST(JsonRpcTest, RequestsNotificationsAndAnswersAreToldApart) {
  EXPECT_EQ(one(R"({"jsonrpc":"2.0","id":1,"method":"ping"})").type, Type::kRequest);
  EXPECT_EQ(one(R"({"jsonrpc":"2.0","method":"ping"})").type, Type::kNotification);
  EXPECT_EQ(one(R"({"jsonrpc":"2.0","id":"a","result":{}})").type, Type::kResponse);
  const RpcMessage failed = one(R"({"jsonrpc":"2.0","id":1,"error":{"code":-1,"message":"no"}})");
  EXPECT_EQ(failed.error->code, -1);
  EXPECT_EQ(one(R"({"jsonrpc":"2.0","id":null,"error":{"code":-32700,"message":""}})").id, RpcId());
}

TEST(JsonRpcTest, ABatchIsItsMessages) {
  const auto read =
      decode_rpc(R"([{"jsonrpc":"2.0","method":"a"},{"jsonrpc":"2.0","id":1,"result":1}])");
  ASSERT_TRUE(read);
  EXPECT_THAT(*read, SizeIs(2));
}

TEST(JsonRpcTest, WhatIsNoJsonRpcIsRefused) {
  std::string many = "[";
  for (std::size_t i = 0; i < kBatchMost; ++i) many += R"({"jsonrpc":"2.0","method":"a"},)";
  many += R"({"jsonrpc":"2.0","method":"a"}])";
  const std::vector<std::string> wrong = {
      "",
      "{",
      "1",
      "[]",
      "[1]",
      "{}",
      many,
      R"({"id":1,"method":"a"})",
      R"({"jsonrpc":"1.0","id":1,"method":"a"})",
      R"({"jsonrpc":"2.0","id":1.5,"method":"a"})",
      R"({"jsonrpc":"2.0","id":{},"method":"a"})",
      R"({"jsonrpc":"2.0","id":1,"method":7})",
      R"({"jsonrpc":"2.0","id":1,"method":"a","params":7})",
      R"({"jsonrpc":"2.0","result":1})",
      R"({"jsonrpc":"2.0","id":1})",
      R"({"jsonrpc":"2.0","id":1,"result":1,"error":{"code":1,"message":""}})",
      R"({"jsonrpc":"2.0","id":1,"error":"no"})",
      R"({"jsonrpc":"2.0","method":"a"} {})",
      R"({"jsonrpc":"2.0","method":"a","params":)" + std::string(100, '[') + std::string(100, ']') +
          "}",
  };
  for (const std::string& text : wrong) EXPECT_FALSE(decode_rpc(text)) << text;
}

TEST(JsonRpcTest, WhatIsWrittenCanBeRead) {
  const RpcMessage request = one(encode_request(7, "a", boost::json::object{{"x", 1}}));
  EXPECT_EQ(request.id, RpcId(std::int64_t{7}));
  EXPECT_EQ(request.params.at("x"), 1);
  EXPECT_EQ(one(encode_result(RpcId(std::string("k")), nullptr)).id, RpcId(std::string("k")));
  EXPECT_EQ(one(encode_error(RpcId(), rpc::kTimeout, "late")).error->message, "late");
  EXPECT_THAT(encode_notification("a", "x\ny"), Not(HasSubstr("\n")));
}

TEST(JsonRpcTest, ErrorsBecomeOursByTheirCodes) {
  const auto kind = [](std::int64_t code) { return error_of({code, "why"}).kind(); };
  EXPECT_EQ(kind(-32601), ErrorKind::kUnsupported);
  EXPECT_EQ(kind(-32602), ErrorKind::kInvalidArgument);
  EXPECT_EQ(kind(-32000), ErrorKind::kUnavailable);
  EXPECT_EQ(kind(-32002), ErrorKind::kTimeout);
  EXPECT_EQ(kind(-32004), ErrorKind::kNotFound);
  EXPECT_EQ(kind(-32006), ErrorKind::kPermissionDenied);
  EXPECT_EQ(kind(12), ErrorKind::kInternal);
  EXPECT_TRUE(error_of({-32000, ""}).retry().allowed());
  EXPECT_EQ(error_of({1, ""}).source(), ErrorSource::kPeer);
  for (const ErrorKind back : {ErrorKind::kNotFound, ErrorKind::kTimeout, ErrorKind::kConflict}) {
    EXPECT_EQ(kind(code_of(back)), back);
  }
}

TEST(DialectTest, AnExtensionServiceTellsItsToolsWithItsGreeting) {
  const auto greeting = read_greeting(Protocol::kSluice, boost::json::parse(R"({
      "name": "calc", "version": "1.0.0", "capabilities": [
        {"name": "tools", "version": "1", "config": {"tools": [
          {"name": "add", "description": "Adds.", "risk_level": "low", "timeout_ms": 1000}]}},
        {"name": "nodes"}]})"));
  ASSERT_TRUE(greeting);
  EXPECT_EQ(greeting->name, "calc");
  ASSERT_THAT(*greeting->tools, SizeIs(1));
  EXPECT_EQ(greeting->tools->front().name, "add");
  EXPECT_THAT(greeting->capabilities, ::testing::ElementsAre("tools", "nodes"));
}

TEST(DialectTest, AGreetingThatIsNoneIsRefused) {
  for (const char* text :
       {"{}", "1", R"({"name":"a","capabilities":[1]})",
        R"({"name":"a","capabilities":[{"name":"tools","config":{"tools":1}}]})",
        R"({"name":"a","capabilities":[{"name":"tools","config":{"tools":[{}]}}]})"}) {
    EXPECT_FALSE(read_greeting(Protocol::kSluice, boost::json::parse(text))) << text;
  }
  for (const char* text : {"{}", R"({"protocolVersion":"2025-06-18"})",
                           R"({"protocolVersion":"2030-01-01","capabilities":{}})"}) {
    EXPECT_FALSE(read_greeting(Protocol::kMcp, boost::json::parse(text))) << text;
  }
}

TEST(DialectTest, TooManyToolsAreRefused) {
  boost::json::array list;
  for (std::size_t i = 0; i <= kToolsMost; ++i) list.push_back({{"name", "t"}});
  std::vector<ToolInfo> tools;
  EXPECT_FALSE(read_tools(boost::json::object{{"tools", std::move(list)}}, tools));
}

}  // namespace
}  // namespace sluice::services
