#include "common/chat/value_text.h"

#include <array>
#include <charconv>
#include <cmath>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/strip.h"
#include "common/base/status_macros.h"
#include "common/chat/text.h"

namespace spearfish::chat {
namespace {

using Kind = Value::Kind;

// Python writes an exponent from 1e16 on and below 1e-4.
constexpr int kLeastPlainExponent = -4;
constexpr int kMostPlainExponent = 15;

absl::Status AppendQuoted(absl::string_view text, std::string& out) {
  if (!IsAscii(text)) {
    return absl::UnimplementedError(
        "writing a list or mapping that holds text beyond ASCII is not supported; use tojson");
  }
  const bool single =
      text.find('\'') == absl::string_view::npos || text.find('"') != absl::string_view::npos;
  const char quote = single ? '\'' : '"';
  out.push_back(quote);
  for (const char c : text) {
    if (c == '\\' || c == quote) {
      out.push_back('\\');
      out.push_back(c);
    } else if (c == '\n') {
      out += "\\n";
    } else if (c == '\r') {
      out += "\\r";
    } else if (c == '\t') {
      out += "\\t";
    } else if (c < 0x20 || c == 0x7F) {
      absl::StrAppendFormat(&out, "\\x%02x", static_cast<unsigned>(c));
    } else {
      out.push_back(c);
    }
  }
  out.push_back(quote);
  return absl::OkStatus();
}

absl::Status AppendRepr(const Value& value, Budget& budget, std::string& out);

absl::Status AppendItems(const Value& list, Budget& budget, std::string& out) {
  if (!list.is_indexable()) {
    return absl::UnimplementedError(absl::StrCat("writing ", list.TypeName(), " is not supported"));
  }
  const std::vector<Value>& items = list.as_list();
  const bool tuple = list.shape() == Value::Shape::kTuple;
  out.push_back(tuple ? '(' : '[');
  for (size_t i = 0; i < items.size(); ++i) {
    if (i > 0) out += ", ";
    SF_RETURN_IF_ERROR(AppendRepr(items[i], budget, out));
  }
  if (tuple && items.size() == 1) out.push_back(',');
  out.push_back(tuple ? ')' : ']');
  return absl::OkStatus();
}

absl::Status AppendEntries(const Map& map, Budget& budget, std::string& out) {
  out.push_back('{');
  bool first = true;
  for (const auto& [key, value] : map.entries()) {
    if (!first) out += ", ";
    first = false;
    SF_RETURN_IF_ERROR(budget.ChargeBytes(key.size()));
    SF_RETURN_IF_ERROR(AppendQuoted(key, out));
    out += ": ";
    SF_RETURN_IF_ERROR(AppendRepr(value, budget, out));
  }
  out.push_back('}');
  return absl::OkStatus();
}

absl::Status AppendRepr(const Value& value, Budget& budget, std::string& out) {
  SF_RETURN_IF_ERROR(budget.Charge(1));
  if (value.is(Kind::kString)) {
    SF_RETURN_IF_ERROR(budget.ChargeBytes(value.as_string().size()));
    return AppendQuoted(value.as_string(), out);
  }
  if (value.is(Kind::kUndefined)) {
    out += "Undefined";
    return absl::OkStatus();
  }
  return AppendText(value, budget, out);
}

}  // namespace

std::string FloatText(double value) {
  if (std::isnan(value)) return "nan";
  if (std::isinf(value)) return value < 0 ? "-inf" : "inf";
  std::array<char, 64> buffer;
  const auto written = std::to_chars(buffer.data(), buffer.data() + buffer.size(), value,
                                     std::chars_format::scientific);
  absl::string_view digits(buffer.data(), static_cast<size_t>(written.ptr - buffer.data()));
  const absl::string_view sign = absl::ConsumePrefix(&digits, "-") ? "-" : "";
  const size_t e = digits.find('e');
  int exponent = 0;
  (void)absl::SimpleAtoi(absl::StripPrefix(digits.substr(e + 1), "+"), &exponent);
  const absl::string_view mantissa = digits.substr(0, e);
  if (exponent < kLeastPlainExponent || exponent > kMostPlainExponent) {
    return absl::StrFormat("%s%se%+03d", sign, mantissa, exponent);
  }
  const std::string bare = absl::StrReplaceAll(mantissa, {{".", ""}});
  if (exponent < 0) {
    return absl::StrCat(sign, "0.", std::string(static_cast<size_t>(-exponent - 1), '0'), bare);
  }
  const auto whole = static_cast<size_t>(exponent) + 1;
  if (bare.size() <= whole) {
    return absl::StrCat(sign, bare, std::string(whole - bare.size(), '0'), ".0");
  }
  return absl::StrCat(sign, bare.substr(0, whole), ".", bare.substr(whole));
}

absl::Status AppendText(const Value& value, Budget& budget, std::string& out) {
  switch (value.kind()) {
    case Kind::kUndefined:
      return absl::OkStatus();
    case Kind::kNone:
      out += "None";
      return absl::OkStatus();
    case Kind::kBool:
      out += value.as_bool() ? "True" : "False";
      return absl::OkStatus();
    case Kind::kInt:
      absl::StrAppend(&out, value.as_int());
      return absl::OkStatus();
    case Kind::kFloat:
      out += FloatText(value.as_float());
      return absl::OkStatus();
    case Kind::kString:
      SF_RETURN_IF_ERROR(budget.ChargeBytes(value.as_string().size()));
      absl::StrAppend(&out, value.as_string());
      return absl::OkStatus();
    case Kind::kList:
      return AppendItems(value, budget, out);
    case Kind::kMap:
      return AppendEntries(value.as_map(), budget, out);
    default:
      break;
  }
  return absl::UnimplementedError(absl::StrCat("writing ", value.TypeName(), " is not supported"));
}

absl::StatusOr<std::string> ToText(const Value& value, Budget& budget) {
  std::string text;
  SF_RETURN_IF_ERROR(AppendText(value, budget, text));
  return text;
}

}  // namespace spearfish::chat
