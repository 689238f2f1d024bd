#include "common/chat/to_json.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "common/base/status_macros.h"
#include "common/chat/text.h"
#include "common/chat/value_text.h"

namespace spearfish::chat {
namespace {

using Kind = Value::Kind;
using Json = nlohmann::ordered_json;

// One call of AppendJson. One thread.
class Writer {
 public:
  Writer(const JsonFormat& format, Budget& budget, std::string& out)
      : format_(format), budget_(budget), out_(out) {}

  absl::Status Write(const Value& value) {
    SF_RETURN_IF_ERROR(budget_.Charge(1));
    switch (value.kind()) {
      case Kind::kNone:
        out_ += "null";
        return absl::OkStatus();
      case Kind::kBool:
        out_ += value.as_bool() ? "true" : "false";
        return absl::OkStatus();
      case Kind::kInt:
        absl::StrAppend(&out_, value.as_int());
        return absl::OkStatus();
      case Kind::kFloat:
        return WriteFloat(value.as_float());
      case Kind::kString:
        return WriteString(value.as_string());
      case Kind::kList:
        if (!value.is_indexable()) break;
        return WriteList(value.as_list());
      case Kind::kMap:
        return WriteMap(value.as_map());
      default:
        break;
    }
    return absl::InvalidArgumentError(absl::StrCat("JSON of ", value.TypeName()));
  }

 private:
  absl::Status WriteFloat(double value) {
    if (!std::isfinite(value)) return absl::InvalidArgumentError("JSON of a float beyond range");
    out_ += FloatText(value);
    return absl::OkStatus();
  }

  absl::Status WriteString(absl::string_view text) {
    SF_RETURN_IF_ERROR(budget_.ChargeBytes(text.size()));
    out_.push_back('"');
    while (!text.empty()) {
      const CodePoint first = FirstCodePoint(text);
      WriteCharacter(first.value, text.substr(0, first.size));
      text.remove_prefix(first.size);
    }
    out_.push_back('"');
    return absl::OkStatus();
  }

  void WriteCharacter(char32_t value, absl::string_view bytes) {
    switch (value) {
      case '"':
        out_ += "\\\"";
        return;
      case '\\':
        out_ += "\\\\";
        return;
      case '\n':
        out_ += "\\n";
        return;
      case '\r':
        out_ += "\\r";
        return;
      case '\t':
        out_ += "\\t";
        return;
      case '\b':
        out_ += "\\b";
        return;
      case '\f':
        out_ += "\\f";
        return;
      default:
        break;
    }
    const bool escape = value < 0x20 || (format_.ensure_ascii && value > 0x7F);
    if (!escape) {
      out_.append(bytes.data(), bytes.size());
    } else if (value < 0x10000) {
      WriteUnit(value);
    } else {
      WriteUnit(0xD800 + ((value - 0x10000) >> 10));
      WriteUnit(0xDC00 + ((value - 0x10000) & 0x3FF));
    }
  }

  void WriteUnit(char32_t unit) {
    absl::StrAppendFormat(&out_, "\\u%04x", static_cast<uint32_t>(unit));
  }

  absl::Status NewLine() {
    if (!format_.indent.has_value()) return absl::OkStatus();
    SF_RETURN_IF_ERROR(budget_.ChargeBytes(level_ * format_.indent->size()));
    out_.push_back('\n');
    for (size_t i = 0; i < level_; ++i) out_ += *format_.indent;
    return absl::OkStatus();
  }

  absl::Status WriteList(const std::vector<Value>& items) {
    if (items.empty()) {
      out_ += "[]";
      return absl::OkStatus();
    }
    out_.push_back('[');
    ++level_;
    for (size_t i = 0; i < items.size(); ++i) {
      if (i > 0) out_ += format_.item_separator;
      SF_RETURN_IF_ERROR(NewLine());
      SF_RETURN_IF_ERROR(Write(items[i]));
    }
    --level_;
    SF_RETURN_IF_ERROR(NewLine());
    out_.push_back(']');
    return absl::OkStatus();
  }

  absl::Status WriteMap(const Map& map) {
    if (map.entries().empty()) {
      out_ += "{}";
      return absl::OkStatus();
    }
    SF_RETURN_IF_ERROR(budget_.Charge(map.entries().size()));
    std::vector<const std::pair<std::string, Value>*> entries;
    for (const auto& entry : map.entries()) entries.push_back(&entry);
    if (format_.sort_keys) {
      std::sort(entries.begin(), entries.end(),
                [](const auto* a, const auto* b) { return a->first < b->first; });
    }
    out_.push_back('{');
    ++level_;
    for (size_t i = 0; i < entries.size(); ++i) {
      if (i > 0) out_ += format_.item_separator;
      SF_RETURN_IF_ERROR(NewLine());
      SF_RETURN_IF_ERROR(WriteString(entries[i]->first));
      out_ += format_.key_separator;
      SF_RETURN_IF_ERROR(Write(entries[i]->second));
    }
    --level_;
    SF_RETURN_IF_ERROR(NewLine());
    out_.push_back('}');
    return absl::OkStatus();
  }

  const JsonFormat& format_;
  Budget& budget_;
  std::string& out_;
  size_t level_ = 0;
};

absl::StatusOr<std::string> CheckedText(const std::string& text, Budget& budget) {
  SF_RETURN_IF_ERROR(budget.ChargeBytes(text.size()));
  if (!IsValidUtf8(text)) return absl::InvalidArgumentError("text that is not UTF-8");
  return text;
}

// `depth`: of this value, from 1.
absl::StatusOr<Value> Convert(const Json& json, uint32_t depth, Budget& budget) {
  SF_RETURN_IF_ERROR(budget.Charge(1));
  if (depth > kMaxValueDepth) {
    return absl::InvalidArgumentError(
        absl::StrCat("JSON nested deeper than ", kMaxValueDepth, " levels"));
  }
  switch (json.type()) {
    case Json::value_t::null:
      return Value::None();
    case Json::value_t::boolean:
      return Value::Bool(json.get<bool>());
    case Json::value_t::number_integer:
      return Value::Int(json.get<int64_t>());
    case Json::value_t::number_unsigned: {
      const auto value = json.get<uint64_t>();
      if (value > static_cast<uint64_t>(std::numeric_limits<int64_t>::max())) break;
      return Value::Int(static_cast<int64_t>(value));
    }
    case Json::value_t::number_float:
      return Value::Float(json.get<double>());
    case Json::value_t::string: {
      SF_ASSIGN_OR_RETURN(std::string text,
                          CheckedText(json.get_ref<const std::string&>(), budget));
      return Value::String(std::move(text));
    }
    case Json::value_t::array: {
      std::vector<Value> items;
      for (const Json& item : json) {
        SF_ASSIGN_OR_RETURN(Value value, Convert(item, depth + 1, budget));
        items.push_back(std::move(value));
      }
      return Value::OfList(std::move(items));
    }
    case Json::value_t::object: {
      Map map;
      for (const auto& [name, item] : json.items()) {
        SF_ASSIGN_OR_RETURN(std::string key, CheckedText(name, budget));
        SF_ASSIGN_OR_RETURN(Value value, Convert(item, depth + 1, budget));
        map.Insert(std::move(key), std::move(value));
      }
      return Value::OfMap(std::move(map));
    }
    default:
      break;
  }
  return absl::InvalidArgumentError("a number beyond 64 bits");
}

}  // namespace

absl::Status AppendJson(const Value& value, const JsonFormat& format, Budget& budget,
                        std::string& out) {
  return Writer(format, budget, out).Write(value);
}

absl::StatusOr<Value> FromJson(const Json& json, Budget& budget) {
  return Convert(json, 1, budget);
}

}  // namespace spearfish::chat
