// Any bytes as a client's certificate (DER): its names can be read whatever it is.
#include <openssl/err.h>
#include <openssl/x509.h>

#include <cstddef>
#include <cstdint>
#include <string>

#include "common/base/check.h"
#include "common/rpc/certificate_names.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const unsigned char* at = data;
  X509* const certificate = d2i_X509(nullptr, &at, static_cast<long>(size));  // NOLINT: its type
  ERR_clear_error();
  if (certificate == nullptr) return 0;
  for (const std::string& name : spearfish::NamesOf(*certificate)) {
    SF_CHECK(!name.empty() && name.size() <= size * 4);
  }
  SF_CHECK(ERR_peek_error() == 0);
  X509_free(certificate);
  return 0;
}
