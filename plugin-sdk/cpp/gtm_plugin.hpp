// Write gtm-host plugins in C++: the types of gtm_plugin.h with the standard library's texts and options.
//
// A plugin defines gtm::filter and gtm::handle. Views, and what documents hold, last until they return.
// It is built without exceptions: what goes wrong is a value here.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>

#include "gtm_plugin.h"

namespace gtm {

using Text = std::string_view;

inline gtm_text lend(Text text) {
  return {reinterpret_cast<uint8_t *>(const_cast<char *>(text.data())), text.size()};
}
inline Text view(gtm_text text) { return {reinterpret_cast<const char *>(text.ptr), text.len}; }

// What became of an op. True where it is done.
class [[nodiscard]] Outcome {
public:
  Outcome(gtm_outcome outcome) : outcome(outcome) {}
  explicit operator bool() const { return outcome.what == GTM_DONE; }
  operator gtm_outcome() const { return outcome; }
  Text why() const { return view(outcome.why); }

private:
  gtm_outcome outcome;
};

inline Outcome done() { return gtm_done(); }
// It may work later: the host tries again after a pause.
inline Outcome retry(Text why) {
  gtm_text text = lend(why);
  return gtm_retry(gtm_join(1, &text));
}
// It will never work: the host keeps the op among the dead letters.
inline Outcome reject(Text why) {
  gtm_text text = lend(why);
  return gtm_reject(gtm_join(1, &text));
}

// A BSON document that was looked through: see gtm_document.
class Document {
public:
  explicit Document(gtm_document document) : document(document) {}

  std::optional<Text> text(const char *name) const {
    gtm_text value;
    return gtm_get_text(document, name, &value) ? std::optional(view(value)) : std::nullopt;
  }
  std::optional<bool> boolean(const char *name) const { return get<bool>(gtm_get_bool, name); }
  // Of int32 too.
  std::optional<int64_t> int64(const char *name) const { return get<int64_t>(gtm_get_int64, name); }
  // Of int32 and int64 too.
  std::optional<double> number(const char *name) const { return get<double>(gtm_get_double, name); }
  // Milliseconds since 1970-01-01 UTC.
  std::optional<int64_t> date(const char *name) const { return get<int64_t>(gtm_get_date, name); }
  // A document or an array, whose elements are named 0, 1, ….
  std::optional<Document> nested(const char *name) const {
    auto value = get<gtm_document>(gtm_get_document, name);
    return value ? std::optional(Document(*value)) : std::nullopt;
  }
  // Why a getter has no value, for reject: mismatch("email", "a string") is "email: expected a string, found an object".
  Text mismatch(const char *name, const char *expected) const { return view(gtm_mismatch(document, name, expected)); }
  // Calls `each` with every gtm_element, in their order.
  template <typename Each> void for_each(Each each) const {
    gtm_element element;
    for (size_t at = 0; gtm_next(document, &at, &element);) each(element);
  }
  // As canonical Extended JSON. Nothing: the host finds something wrong with it, such as text that is no UTF-8.
  std::optional<Text> json() const {
    gtm_text value;
    return gtm_to_json(document, &value) ? std::optional(view(value)) : std::nullopt;
  }

private:
  template <typename Value> std::optional<Value> get(bool (*getter)(gtm_document, const char *, Value *), const char *name) const {
    Value value;
    return getter(document, name, &value) ? std::optional(value) : std::nullopt;
  }
  gtm_document document;
};

// One change.
class Op {
public:
  explicit Op(const gtm_op &op) : op(op) {}

  bool is_insert() const { return gtm_is_insert(&op); }
  bool is_update() const { return gtm_is_update(&op); }
  bool is_replace() const { return gtm_is_replace(&op); }
  bool is_delete() const { return gtm_is_delete(&op); }
  Text id() const { return view(op.id); }
  Text database() const { return view(op.database); }
  Text collection() const { return view(op.collection); }
  // The document after the change. Nothing: there is none, or it is no BSON.
  std::optional<Document> document() const { return read(op.full_document); }
  std::optional<Document> document_key() const { return read(op.document_key); }
  std::optional<Document> update_description() const { return read(op.update_description); }
  // All of it, as the contract has it.
  const gtm_op &contract() const { return op; }

private:
  static std::optional<Document> read(const gtm_plugin_types_option_bson_t &bson) {
    gtm_document document;
    return gtm_read(&bson, &document) ? std::optional(Document(document)) : std::nullopt;
  }
  const gtm_op &op;
};

namespace log {
inline void debug(Text message) { gtm_log_debug(lend(message)); }
inline void info(Text message) { gtm_log_info(lend(message)); }
inline void warn(Text message) { gtm_log_warn(lend(message)); }
inline void error(Text message) { gtm_log_error(lend(message)); }
} // namespace log

// The plugin's config. Nothing: it has no such key.
inline std::optional<Text> config(const char *key) {
  gtm_text value;
  return gtm_config(key, &value) ? std::optional(view(value)) : std::nullopt;
}

// Sends a mail in plain text. What comes back is what handle gives back where the mail was not sent.
inline Outcome mail(Text to, Text subject, Text text) { return gtm_mail(lend(to), lend(subject), lend(text)); }

// Says whether handle is to get this op. Quick, and without effects.
bool filter(const Op &op);

// Does the work.
Outcome handle(const Op &op);

} // namespace gtm
