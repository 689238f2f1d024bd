#include "common/expert_cache/cache_plan.h"

#include <openssl/evp.h>

#include <cstddef>
#include <filesystem>
#include <memory>
#include <span>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "common/base/bytes.h"
#include "common/base/check.h"
#include "common/base/status_macros.h"
#include "common/expert_cache/format.h"

namespace spearfish {
namespace {

// Bounds that keep every product of sizes far from 64 bits.
constexpr uint32_t kMaxLayers = 1u << 14;
constexpr uint32_t kMaxExperts = 1u << 16;
constexpr uint64_t kMaxLayerBytes = uint64_t{1} << 44;

class Sha256 {
 public:
  Sha256() : context_(EVP_MD_CTX_new()) {
    SF_CHECK(context_ != nullptr && EVP_DigestInit_ex(context_.get(), EVP_sha256(), nullptr) == 1);
  }

  void AddNumber(uint64_t value) { Update(&value, sizeof(value)); }
  void AddBytes(std::span<const std::byte> bytes) {
    AddNumber(bytes.size());
    Update(bytes.data(), bytes.size());
  }

  CacheIdentity Finish() {
    CacheIdentity digest;
    SF_CHECK(EVP_DigestFinal_ex(context_.get(), digest.data(), nullptr) == 1);
    return digest;
  }

 private:
  struct Free {
    void operator()(EVP_MD_CTX* context) const { EVP_MD_CTX_free(context); }
  };
  void Update(const void* data, size_t size) {
    SF_CHECK(EVP_DigestUpdate(context_.get(), data, size) == 1);
  }

  std::unique_ptr<EVP_MD_CTX, Free> context_;
};

// The folder's own name, also for "model/" and ".".
std::string NameOfFolder(const std::string& folder) {
  std::error_code error;
  std::filesystem::path path = std::filesystem::canonical(folder, error);
  if (error) path = folder;
  return path.filename().string();
}

absl::Status CheckGeometry(const CacheGeometry& geometry, const RecordLayout& layout) {
  if (geometry.moe_layers.size() > kMaxLayers || geometry.num_experts > kMaxExperts ||
      layout.record_bytes * geometry.num_experts > kMaxLayerBytes) {
    return absl::InvalidArgumentError(
        absl::StrCat("model too large for an expert cache: ", geometry.moe_layers.size(),
                     " layers of ", geometry.num_experts, " experts of ",
                     FormatBytes(layout.record_bytes), "; check config.json"));
  }
  return absl::OkStatus();
}

}  // namespace

CacheIdentity IdentityOf(const Checkpoint& checkpoint, const QuantOptions& options) {
  Sha256 sha;
  sha.AddBytes(std::as_bytes(std::span(checkpoint.config_text())));
  sha.AddNumber(checkpoint.shards().size());
  for (const auto& shard : checkpoint.shards()) {
    sha.AddBytes(shard->header());
    sha.AddNumber(shard->file_bytes());
  }
  sha.AddNumber(kCacheVersion);
  sha.AddNumber(options.bits);
  sha.AddNumber(static_cast<uint32_t>(options.scale));
  return sha.Finish();
}

std::string SegmentName(const CacheIdentity& identity) {
  const absl::string_view first(reinterpret_cast<const char*>(identity.data()), 8);
  return absl::StrCat("spearfish-", absl::BytesToHexString(first));
}

absl::StatusOr<CachePlan> CachePlan::Create(const CacheIdentity& identity,
                                            const CacheGeometry& geometry,
                                            const QuantOptions& options, std::string model_name) {
  CachePlan plan;
  plan.identity_ = identity;
  plan.quant_ = options;
  plan.model_name_ = std::move(model_name);
  plan.num_experts_ = geometry.num_experts;
  SF_ASSIGN_OR_RETURN(plan.layout_,
                      RecordLayout::Create(geometry.hidden, geometry.intermediate, options.bits));
  SF_RETURN_IF_ERROR(CheckGeometry(geometry, plan.layout_));
  uint64_t offset = AlignUp(sizeof(CacheHeader) + geometry.moe_layers.size() * sizeof(LayerEntry),
                            kCachePageBytes);
  for (uint32_t layer = 0; layer < geometry.moe_layers.size(); ++layer) {
    plan.layer_offsets_.push_back(geometry.moe_layers[layer] ? offset : 0);
    if (!geometry.moe_layers[layer]) continue;
    plan.moe_layers_.push_back(LayerId{layer});
    offset += plan.layer_bytes();
  }
  if (plan.moe_layers_.empty() || plan.num_experts_ == 0) {
    return absl::InvalidArgumentError(
        "model without routed experts: nothing to cache; use a Mixture-of-Experts checkpoint");
  }
  return plan;
}

absl::StatusOr<CachePlan> CachePlan::FromCheckpoint(const Checkpoint& checkpoint,
                                                    const QuantOptions& options) {
  const ModelConfig& config = checkpoint.config();
  return Create(IdentityOf(checkpoint, options),
                {.hidden = config.hidden_size,
                 .intermediate = config.moe_intermediate_size,
                 .num_experts = config.num_experts,
                 .moe_layers = config.moe_layers},
                options, NameOfFolder(checkpoint.folder()));
}

}  // namespace spearfish
