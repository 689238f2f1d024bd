#include "server/dispatch/route_key.h"

namespace spearfish::server {
namespace {

constexpr uint64_t kOffset = 0xcbf29ce484222325u;
constexpr uint64_t kPrime = 0x100000001b3u;

uint64_t Add(uint64_t hash, uint64_t byte) { return (hash ^ byte) * kPrime; }

uint64_t NotZero(uint64_t hash) { return hash == 0 ? 1 : hash; }

}  // namespace

uint64_t HashBytes(absl::string_view bytes) {
  uint64_t hash = kOffset;
  for (const char byte : bytes) hash = Add(hash, static_cast<uint8_t>(byte));
  return NotZero(hash);
}

uint64_t HashTokens(const v1::TokenIds& prompt) {
  uint64_t hash = kOffset;
  for (int i = 0; i < std::min(prompt.ids_size(), kPrefixTokens); ++i) {
    for (int shift = 0; shift < 32; shift += 8) hash = Add(hash, (prompt.ids(i) >> shift) & 0xff);
  }
  return NotZero(hash);
}

uint64_t HashChat(const v1::Chat& prompt) {
  std::string begin;
  for (const v1::ChatMessage& message : prompt.messages()) {
    begin += message.role() + '\n' + message.content().substr(0, kPrefixBytes) + '\n';
    if (begin.size() >= kPrefixBytes) break;
  }
  return HashBytes(absl::string_view(begin).substr(0, kPrefixBytes));
}

}  // namespace spearfish::server
