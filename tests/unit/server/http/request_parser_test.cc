#include "server/http/request_parser.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "absl/strings/str_cat.h"

namespace spearfish::server {
namespace {

using ::testing::HasSubstr;
using Parsed = RequestParser::Parsed;

constexpr uint64_t kMostBody = 100;

std::string Post(const std::string& body) {
  return absl::StrCat(
      "POST /v1/completions?x=1 HTTP/1.1\r\nHost: t\r\nContent-Type: text/plain\r\n",
      "Content-Length: ", body.size(), "\r\n\r\n", body);
}

TEST(RequestParser, ReadsARequestInPieces) {
  const std::string text = Post("hello");
  for (size_t piece = 1; piece <= text.size(); ++piece) {
    RequestParser parser(kMostBody);
    size_t given = 0;
    const auto more = [&] {
      parser.Add(absl::string_view(text).substr(given, piece));
      given += piece;
    };
    EXPECT_FALSE(parser.begun());
    while (parser.ParseHead() == Parsed::kMore) more();
    EXPECT_EQ(parser.Head().method, "POST");
    EXPECT_EQ(parser.Head().target, "/v1/completions?x=1");
    EXPECT_EQ(parser.Head().content_type, "text/plain");
    EXPECT_TRUE(parser.has_body());
    EXPECT_EQ(parser.MaxBodyBytes(), 5u);
    while (parser.ParseBody() == Parsed::kMore) more();
    EXPECT_EQ(parser.TakeBody(), "hello");
    EXPECT_TRUE(parser.keep_alive());
    EXPECT_GE(given + piece, text.size());
  }
}

TEST(RequestParser, KeepsWhatCameForTheNextOne) {
  RequestParser parser(kMostBody);
  parser.Add(Post("one") + Post("two") + "GET /v1");
  for (const char* body : {"one", "two"}) {
    ASSERT_EQ(parser.ParseHead(), Parsed::kDone);
    ASSERT_EQ(parser.ParseBody(), Parsed::kDone);
    EXPECT_EQ(parser.TakeBody(), body);
    parser.Begin();
  }
  EXPECT_EQ(parser.num_bytes_kept(), 7u);
  EXPECT_EQ(parser.ParseHead(), Parsed::kMore);
  EXPECT_TRUE(parser.begun());
  parser.Add("/models HTTP/1.0\r\n\r\n");
  ASSERT_EQ(parser.ParseHead(), Parsed::kDone);
  EXPECT_EQ(parser.Head().target, "/v1/models");
  EXPECT_FALSE(parser.has_body());
  EXPECT_FALSE(parser.keep_alive());
  EXPECT_FALSE(parser.is_http_1_1());
  EXPECT_EQ(parser.MaxBodyBytes(), 0u);
  EXPECT_EQ(parser.ParseBody(), Parsed::kDone);
}

TEST(RequestParser, ReadsChunks) {
  RequestParser parser(kMostBody);
  parser.Add(
      "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\nExpect: 100-Continue\r\n\r\n3\r\nabc");
  ASSERT_EQ(parser.ParseHead(), Parsed::kDone);
  EXPECT_TRUE(parser.AwaitsContinue());
  EXPECT_EQ(parser.MaxBodyBytes(), kMostBody);
  EXPECT_EQ(parser.ParseBody(), Parsed::kMore);
  parser.Add("\r\n2\r\nde\r\n0\r\n\r\n");
  ASSERT_EQ(parser.ParseBody(), Parsed::kDone);
  EXPECT_EQ(parser.TakeBody(), "abcde");
}

// The status of what is refused.
int StatusOf(const std::string& text) {
  RequestParser parser(kMostBody);
  for (size_t at = 0; at < text.size(); at += 4096) {
    parser.Add(absl::string_view(text).substr(at, 4096));
    Parsed parsed = parser.ParseHead();
    if (parsed == Parsed::kDone) parsed = parser.ParseBody();
    if (parsed == Parsed::kBad) {
      EXPECT_FALSE(parser.error().message.empty());
      return parser.error().status;
    }
  }
  return 0;
}

TEST(RequestParser, SaysWhatIsWrong) {
  EXPECT_EQ(StatusOf("HELO\r\n\r\n"), 400);
  EXPECT_EQ(StatusOf("GET / HTTP/1.1\r\nno colon\r\n\r\n"), 400);
  EXPECT_EQ(StatusOf("POST / HTTP/1.1\r\nContent-Length: -5\r\n\r\n"), 400);
  EXPECT_EQ(StatusOf("GET / HTTP/1.1\r\nX: " + std::string(20000, 'x') + "\r\n\r\n"), 431);
  EXPECT_EQ(StatusOf(Post(std::string(kMostBody, 'x'))), 0);
  EXPECT_EQ(StatusOf(Post(std::string(kMostBody + 1, 'x'))), 413);
  EXPECT_EQ(StatusOf("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nff\r\n" +
                     std::string(255, 'x')),
            413);
}

TEST(RequestParser, BoundsWhatIsNoBody) {
  const std::string head = "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n";
  EXPECT_EQ(StatusOf(head + std::string(50000, '1')), 431);
  EXPECT_EQ(StatusOf(head + "1;x=" + std::string(50000, 'x')), 431);
  EXPECT_EQ(StatusOf(head + "0\r\nX: " + std::string(50000, 'x')), 431);
}

TEST(RequestParser, RefusesAnAmbiguousLength) {
  const std::string post = "POST / HTTP/1.1\r\n";
  EXPECT_EQ(StatusOf(post + "Transfer-Encoding: chunked, identity\r\n\r\n"), 400);
  EXPECT_EQ(StatusOf(post + "Transfer-Encoding: identity\r\n\r\n"), 400);
  EXPECT_EQ(StatusOf(post + "Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n"), 400);
  EXPECT_EQ(StatusOf(post + "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n"), 400);
  EXPECT_EQ(StatusOf(post + "Content-Length: 3\r\nContent-Length: 4\r\n\r\n"), 400);
  EXPECT_EQ(StatusOf("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n"), 400);
}

}  // namespace
}  // namespace spearfish::server
