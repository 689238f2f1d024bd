#include "common/rpc/certificate_names.h"

#include <arpa/inet.h>
#include <openssl/asn1.h>
#include <openssl/err.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include <array>
#include <memory>
#include <utility>

#include "absl/cleanup/cleanup.h"

namespace spearfish {
namespace {

struct Free {
  void operator()(GENERAL_NAMES* names) const { GENERAL_NAMES_free(names); }
};

// Empty for text that can't be turned into UTF-8.
std::string TextOf(const ASN1_STRING* text) {
  unsigned char* utf8 = nullptr;
  const int bytes = ASN1_STRING_to_UTF8(&utf8, text);
  if (bytes < 0) return "";
  const absl::Cleanup release = [utf8] { OPENSSL_free(utf8); };
  return {reinterpret_cast<const char*>(utf8), static_cast<size_t>(bytes)};
}

std::string AddressOf(const ASN1_OCTET_STRING& bytes) {
  const int length = ASN1_STRING_length(&bytes);
  if (length != 4 && length != 16) return "";
  std::array<char, INET6_ADDRSTRLEN> text = {};
  const int family = length == 4 ? AF_INET : AF_INET6;
  const char* const done =
      inet_ntop(family, ASN1_STRING_get0_data(&bytes), text.data(), text.size());
  return done == nullptr ? "" : done;
}

std::string TextOf(const GENERAL_NAME& name) {
  switch (name.type) {
    case GEN_DNS:
      return TextOf(name.d.dNSName);
    case GEN_EMAIL:
      return TextOf(name.d.rfc822Name);
    case GEN_URI:
      return TextOf(name.d.uniformResourceIdentifier);
    case GEN_IPADD:
      return AddressOf(*name.d.iPAddress);
    default:
      return "";
  }
}

void AddAlternativeNames(const X509& certificate, std::vector<std::string>& out) {
  const std::unique_ptr<GENERAL_NAMES, Free> names(static_cast<GENERAL_NAMES*>(
      X509_get_ext_d2i(&certificate, NID_subject_alt_name, nullptr, nullptr)));
  if (names == nullptr) return;
  for (int i = 0; i < sk_GENERAL_NAME_num(names.get()); ++i) {
    std::string text = TextOf(*sk_GENERAL_NAME_value(names.get(), i));
    if (!text.empty()) out.push_back(std::move(text));
  }
}

void AddCommonName(const X509& certificate, std::vector<std::string>& out) {
  const X509_NAME* const subject = X509_get_subject_name(&certificate);
  const int at = X509_NAME_get_index_by_NID(subject, NID_commonName, -1);
  if (at < 0) return;
  std::string text = TextOf(X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, at)));
  if (!text.empty()) out.push_back(std::move(text));
}

}  // namespace

std::vector<std::string> NamesOf(const X509& certificate) {
  std::vector<std::string> names;
  AddAlternativeNames(certificate, names);
  AddCommonName(certificate, names);
  ERR_clear_error();  // of an extension that can't be read; the thread's next user must not see it
  return names;
}

}  // namespace spearfish
