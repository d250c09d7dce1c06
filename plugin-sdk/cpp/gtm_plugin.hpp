// Write gtm-host plugins in C++: the types of gtm_plugin.h with the standard library's texts, options and vectors.
//
// A plugin names its functions at the end of its file. It exports only those, and imports only the capabilities that it uses:
//
//   static bool is_new_user(const gtm::Op &op) { … }
//   static gtm::Outcome greet(const gtm::Op &op) { … }
//
//   GTM_FILTER(is_new_user);
//   GTM_HANDLER(greet);
//
// Memory: every gtm::Text, gtm::Document and gtm::Op is a view. It lasts until the function of the plugin returns, and in `init` as long
// as the instance; the SDK frees the memory then. Copy a text into a std::string to keep it longer. What a plugin passes to
// a function stays its own.
//
// It is built without exceptions: errors are values.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "gtm_plugin.h"

namespace gtm {

using Text = std::string_view;

inline gtm_text lend(Text text) {
  return {reinterpret_cast<uint8_t *>(const_cast<char *>(text.data())), text.size()};
}
inline Text view(gtm_text text) { return {reinterpret_cast<const char *>(text.ptr), text.len}; }

// A copy that lasts until the end of the call.
inline gtm_text copy(Text text) {
  gtm_text lent = lend(text);
  return gtm_join(1, &lent);
}

// The outcome of an op, or of one use of a capability. A handler may return the outcome of a capability as its own. True if it is done.
class [[nodiscard]] Outcome {
public:
  Outcome(gtm_outcome outcome) : outcome(outcome) {}
  explicit operator bool() const { return outcome.what == GTM_DONE; }
  operator gtm_outcome() const { return outcome; }
  Text why() const { return view(outcome.why); }
  // The kind of the error, such as GTM_CONFLICT, if it comes from a capability.
  gtm_error error() const { return outcome.error; }

private:
  gtm_outcome outcome;
};

inline Outcome done() { return gtm_done(); }
// It may work later: the host retries the op after a pause. `why` is copied.
inline Outcome retry(Text why) { return gtm_retry(copy(why)); }
// It may work after this time, as a server said (Retry-After). `why` is copied.
inline Outcome retry_after(uint64_t milliseconds, Text why) { return gtm_retry_after(milliseconds, copy(why)); }
// It will never work: the host keeps the op among the dead letters. `why` is copied.
inline Outcome reject(Text why) { return gtm_reject(copy(why)); }

// A BSON document that was checked: see gtm_document.
class Document {
public:
  explicit Document(gtm_document document) : document(document) {}

  // Converts Extended JSON. Put texts into it with gtm::quote. Nothing: it is not valid.
  static std::optional<Document> from_json(Text json) {
    gtm_document document;
    return gtm_from_json(lend(json), &document).what == GTM_DONE ? std::optional(Document(document)) : std::nullopt;
  }
  // Reads the document in these bytes, without a copy. Nothing: they are not BSON.
  static std::optional<Document> from_bytes(const uint8_t *bytes, size_t length) {
    gtm_document document;
    return gtm_document_of(bytes, length, &document) ? std::optional(Document(document)) : std::nullopt;
  }
  // An empty document, as a filter that matches every document.
  static Document empty() {
    static const uint8_t bytes[] = {5, 0, 0, 0, 0};
    return Document({bytes, sizeof bytes});
  }

  std::optional<Text> text(const char *name) const {
    gtm_text value;
    return gtm_get_text(document, name, &value) ? std::optional(view(value)) : std::nullopt;
  }
  std::optional<bool> boolean(const char *name) const { return get<bool>(gtm_get_bool, name); }
  // From an int32, too.
  std::optional<int64_t> int64(const char *name) const { return get<int64_t>(gtm_get_int64, name); }
  // From an int32 or int64, too.
  std::optional<double> number(const char *name) const { return get<double>(gtm_get_double, name); }
  // In milliseconds since 1970-01-01 UTC.
  std::optional<int64_t> date(const char *name) const { return get<int64_t>(gtm_get_date, name); }
  // A document or an array, whose elements are named 0, 1, ….
  std::optional<Document> nested(const char *name) const {
    auto value = get<gtm_document>(gtm_get_document, name);
    return value ? std::optional(Document(*value)) : std::nullopt;
  }
  // Returns why a getter has no value, for reject: mismatch("email", "a string") is "email: expected a string, found an object".
  Text mismatch(const char *name, const char *expected) const { return view(gtm_mismatch(document, name, expected)); }
  // Calls `each` with every gtm_element, in order.
  template <typename Each> void for_each(Each each) const {
    gtm_element element;
    for (size_t at = 0; gtm_next(document, &at, &element);) each(element);
  }
  // Converts it into canonical Extended JSON. Nothing: the host cannot convert it.
  std::optional<Text> json() const {
    gtm_text value;
    return gtm_to_json(document, &value) ? std::optional(view(value)) : std::nullopt;
  }
  // Converts it into relaxed Extended JSON: see gtm_to_relaxed_json.
  std::optional<Text> relaxed_json() const {
    gtm_text value;
    return gtm_to_relaxed_json(document, &value) ? std::optional(view(value)) : std::nullopt;
  }
  // The document as gtm_plugin.h has it.
  const gtm_document &contract() const { return document; }

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
  // The document after the change. Nothing: there is none, or it is not BSON.
  std::optional<Document> document() const { return read(op.full_document); }
  std::optional<Document> document_key() const { return read(op.document_key); }
  std::optional<Document> update_description() const { return read(op.update_description); }
  // Converts it into one line of JSON with the names of MongoDB's change events: see gtm_to_change_event. Nothing: a document of the op is not
  // BSON, or too large.
  std::optional<Text> to_change_event(bool canonical = false) const {
    gtm_text value;
    return gtm_to_change_event(&op, canonical, &value) ? std::optional(view(value)) : std::nullopt;
  }
  // The op as gtm.h has it, with all fields.
  const gtm_op &contract() const { return op; }

private:
  static std::optional<Document> read(const gtm_plugin_types_option_bson_t &bson) {
    gtm_document document;
    return gtm_read(&bson, &document) ? std::optional(Document(document)) : std::nullopt;
  }
  const gtm_op &op;
};

// The ops of a batch, in order, and their outcomes, each of which is gtm::done() at first.
class Batch {
public:
  Batch(const gtm_op *ops, size_t count, gtm_outcome *outcomes) : ops(ops), count(count), outcomes(outcomes) {}
  size_t size() const { return count; }
  Op operator[](size_t at) const { return Op(ops[at]); }
  void set(size_t at, Outcome outcome) { outcomes[at] = outcome; }

private:
  const gtm_op *ops;
  size_t count;
  gtm_outcome *outcomes;
};

// Collects the subscriptions of a plugin, in `init`.
class Subscriber {
public:
  explicit Subscriber(gtm_subscriber *subscriber) : subscriber(subscriber) {}
  // Subscribes to changes in a namespace like `users.*`, of these kinds. Without kinds: all.
  void subscribe(const char *namespace_, std::initializer_list<unsigned> kinds = {}) {
    uint32_t bits = 0;
    for (unsigned kind : kinds) bits |= GTM_BIT(kind);
    gtm_subscribe(subscriber, namespace_, bits);
  }

private:
  gtm_subscriber *subscriber;
};

namespace log {
inline void trace(Text message) { gtm_log_trace(lend(message)); }
inline void debug(Text message) { gtm_log_debug(lend(message)); }
inline void info(Text message) { gtm_log_info(lend(message)); }
inline void warn(Text message) { gtm_log_warn(lend(message)); }
inline void error(Text message) { gtm_log_error(lend(message)); }
} // namespace log

// Returns a text as a JSON string with its quotes.
inline Text quote(Text text) { return view(gtm_quote(lend(text))); }

// The value of a setting. Nothing: it has no value.
inline std::optional<Text> config(const char *name) {
  gtm_text value;
  return gtm_config(name, &value) ? std::optional(view(value)) : std::nullopt;
}
// The value of an integer, a duration (milliseconds) or a size (bytes).
inline std::optional<int64_t> config_int64(const char *name) {
  int64_t value;
  return gtm_config_int64(name, &value) ? std::optional(value) : std::nullopt;
}
inline std::optional<bool> config_bool(const char *name) {
  bool value;
  return gtm_config_bool(name, &value) ? std::optional(value) : std::nullopt;
}
// The value of a setting of the type GTM_SETTING_TEXTS.
inline std::vector<Text> config_texts(const char *name) {
  std::vector<Text> texts;
  gtm_text all, one;
  size_t at = 0;
  if (gtm_config(name, &all))
    while (gtm_next_text(all, &at, &one)) texts.push_back(view(one));
  return texts;
}

// Sends a mail in plain text.
inline Outcome mail(Text to, Text subject, Text text) { return gtm_mail(lend(to), lend(subject), lend(text)); }

namespace http {
struct Header {
  Text name;
  Text value;
};

// The header Idempotency-Key with the id of the op: see gtm_idempotency_key.
inline Header idempotency_key(const Op &op) { return {"Idempotency-Key", op.id()}; }

struct Request {
  const char *method = "GET";
  Text url = {};
  std::vector<Header> headers = {};
  std::optional<Text> body = {};
  // The time to wait for an answer, in milliseconds. 0: the host's own limit.
  uint32_t timeout = 0;
};

struct Response {
  uint16_t status = 0;
  // The names are in lowercase.
  std::vector<Header> headers;
  Text body;
};

// Returns the outcome for the status of a response: see gtm_http_outcome.
inline Outcome outcome_of(const Response &response) {
  std::vector<gtm_http_header> headers;
  for (const Header &header : response.headers) headers.push_back({lend(header.name), lend(header.value)});
  gtm_http_response lent = {response.status, headers.data(), headers.size(), lend(response.body)};
  return gtm_http_outcome(&lent);
}

// Sends a request. The outcome is done for any status, such as 404: see outcome_of.
inline Outcome send(const Request &request, Response &response) {
  std::vector<gtm_http_header> headers;
  for (const Header &header : request.headers) headers.push_back({lend(header.name), lend(header.value)});
  gtm_text body = lend(request.body.value_or(Text()));
  gtm_http_request lent = {request.method, lend(request.url), headers.data(), headers.size(), request.body ? &body : nullptr,
                           request.timeout};
  gtm_http_response received;
  gtm_outcome outcome = gtm_http(&lent, &received);
  if (outcome.what != GTM_DONE) return outcome;
  response.status = received.status;
  response.body = view(received.body);
  response.headers.clear();
  for (size_t at = 0; at < received.header_count; at++)
    response.headers.push_back({view(received.headers[at].name), view(received.headers[at].value)});
  return outcome;
}
} // namespace http

namespace mongodb {
struct FindOptions {
  std::optional<Document> projection = {};
  std::optional<Document> sort = {};
  uint64_t skip = 0;
  // 0: 10,000.
  uint32_t limit = 0;
};

struct UpdateResult {
  uint64_t matched_count = 0;
  uint64_t modified_count = 0;
  // {_id} of the inserted document.
  std::optional<Document> upserted_id = {};
};

// A collection, named `database.collection`.
class Collection {
public:
  explicit Collection(Text name) : name(name) {}

  Outcome find(Document filter, std::vector<Document> &found, const FindOptions &options = {}) const {
    const gtm_document *projection = options.projection ? &options.projection->contract() : nullptr;
    const gtm_document *sort = options.sort ? &options.sort->contract() : nullptr;
    gtm_find_options lent = {projection, sort, options.skip, options.limit};
    gtm_documents documents;
    return list(gtm_mongodb_find(lend(name), filter.contract(), &lent, &documents), documents, found);
  }
  Outcome aggregate(const std::vector<Document> &stages, std::vector<Document> &found) const {
    gtm_documents documents;
    return list(gtm_mongodb_aggregate(lend(name), lent(stages).data(), stages.size(), &documents), documents, found);
  }
  // Inserts at most 1,000 documents, in order. The error is GTM_CONFLICT if a document with its key exists.
  Outcome insert(const std::vector<Document> &documents) const {
    return gtm_mongodb_insert(lend(name), lent(documents).data(), documents.size());
  }
  Outcome update(Document filter, Document update, gtm_update_options options, UpdateResult *result = nullptr) const {
    gtm_update_result updated;
    return write(gtm_mongodb_update(lend(name), filter.contract(), update.contract(), options, &updated), updated, result);
  }
  Outcome replace(Document filter, Document replacement, bool upsert, UpdateResult *result = nullptr) const {
    gtm_update_result replaced;
    return write(gtm_mongodb_replace(lend(name), filter.contract(), replacement.contract(), upsert, &replaced), replaced, result);
  }
  Outcome remove(Document filter, bool many, uint64_t *deleted_count = nullptr) const {
    return gtm_mongodb_delete(lend(name), filter.contract(), many, deleted_count);
  }

private:
  static std::vector<gtm_document> lent(const std::vector<Document> &documents) {
    std::vector<gtm_document> list;
    for (const Document &document : documents) list.push_back(document.contract());
    return list;
  }
  static Outcome list(gtm_outcome outcome, const gtm_documents &documents, std::vector<Document> &found) {
    if (outcome.what != GTM_DONE) return outcome;
    found.clear();
    for (size_t at = 0; at < documents.count; at++) found.push_back(Document(documents.documents[at]));
    return outcome;
  }
  static Outcome write(gtm_outcome outcome, const gtm_update_result &from, UpdateResult *result) {
    if (outcome.what != GTM_DONE || result == nullptr) return outcome;
    *result = {from.matched_count, from.modified_count, {}};
    if (from.has_upserted_id) result->upserted_id = Document(from.upserted_id);
    return outcome;
  }
  Text name;
};
} // namespace mongodb

namespace state {
// Nothing in `value`: the key has no value.
inline Outcome get(Text key, std::optional<Text> &value) {
  gtm_text found;
  bool is_set;
  gtm_outcome outcome = gtm_state_get(lend(key), &found, &is_set);
  if (outcome.what == GTM_DONE) value = is_set ? std::optional(view(found)) : std::nullopt;
  return outcome;
}
// The store forgets the value after `time_to_live` milliseconds. 0: it keeps the value.
inline Outcome set(Text key, Text value, uint64_t time_to_live = 0) { return gtm_state_set(lend(key), lend(value), time_to_live); }
inline Outcome remove(Text key) { return gtm_state_delete(lend(key)); }
// Sets the value if the current one is `expected` (nothing: if the key has none), in one step. `swapped` is whether it did.
inline Outcome compare_and_swap(Text key, std::optional<Text> expected, Text value, bool &swapped, uint64_t time_to_live = 0) {
  gtm_text before = lend(expected.value_or(Text()));
  return gtm_state_compare_and_swap(lend(key), expected ? &before : nullptr, lend(value), time_to_live, &swapped);
}
// Adds to a number, in one step. A key without a value counts as 0.
inline Outcome increment(Text key, int64_t by, int64_t &sum, uint64_t time_to_live = 0) {
  return gtm_state_increment(lend(key), by, time_to_live, &sum);
}

struct Entry {
  Text key;
  Text value;
  // In milliseconds. 0: the store keeps the value.
  uint64_t time_to_live = 0;
};

// Returns the entries whose keys begin with `prefix`, in order: at most `limit`, 1,000 and 1 MiB. For the next page, pass the last key as
// `after`.
inline Outcome list(Text prefix, std::optional<Text> after, uint32_t limit, std::vector<Entry> &entries) {
  gtm_text last = lend(after.value_or(Text()));
  gtm_state_entries found;
  gtm_outcome outcome = gtm_state_list(lend(prefix), after ? &last : nullptr, limit, &found);
  if (outcome.what != GTM_DONE) return outcome;
  entries.clear();
  for (size_t at = 0; at < found.count; at++)
    entries.push_back({view(found.entries[at].key), view(found.entries[at].value), found.entries[at].time_to_live});
  return outcome;
}
inline Outcome get_quota(gtm_state_quota &quota) { return gtm_state_get_quota(&quota); }
} // namespace state

// Collects the timers of a plugin.
class Timers {
public:
  explicit Timers(gtm_timers *timers) : timers(timers) {}
  // Adds a timer. The schedule is in UTC: an interval such as 10m, or a cron expression. Both texts are copied.
  void add(const char *name, Text schedule, gtm_missed_ticks missed = GTM_ONCE_MISSED) {
    gtm_add_timer(timers, name, lend(schedule), missed);
  }

private:
  gtm_timers *timers;
};

// One time at which a timer is due: see gtm_tick.
struct Tick {
  Text timer;
  // In milliseconds since 1970-01-01 UTC.
  uint64_t at;
  Text id;
  uint32_t attempt;
};

} // namespace gtm

// The functions that a plugin exports, with the types of C++.
#undef GTM_LIFECYCLE
#undef GTM_FILTER
#undef GTM_HANDLER
#undef GTM_BATCH_HANDLER
#undef GTM_SCHEDULE

// Exports the settings, a table that ends with {} (or nullptr), and `gtm::Outcome init(gtm::Subscriber &)`.
#define GTM_LIFECYCLE(settings, init) \
  GTM_EXPORT_LIFECYCLE(settings, [](gtm_subscriber *subscriber) -> gtm_outcome { \
    gtm::Subscriber view(subscriber); \
    return init(view); \
  })
// Exports `bool filter(const gtm::Op &)`. Without it, the handler gets every op that the plugin subscribed to.
#define GTM_FILTER(function) GTM_EXPORT_FILTER([](const gtm_op *op) -> bool { return function(gtm::Op(*op)); })
// Exports `gtm::Outcome handle(const gtm::Op &)`.
#define GTM_HANDLER(function) GTM_EXPORT_HANDLER([](const gtm_op *op) -> gtm_outcome { return function(gtm::Op(*op)); })
// Exports `void handle(gtm::Batch &)`, for targets with a bulk API. The host then does not call the handler of single ops.
#define GTM_BATCH_HANDLER(function) \
  GTM_EXPORT_BATCH_HANDLER([](const gtm_op *ops, size_t count, gtm_outcome *outcomes) { \
    gtm::Batch batch(ops, count, outcomes); \
    function(batch); \
  })
// Exports `void timers(gtm::Timers &)` and `gtm::Outcome tick(const gtm::Tick &)`. A plugin with timers and without a handler gets no ops.
#define GTM_SCHEDULE(timers, tick) \
  GTM_EXPORT_SCHEDULE( \
    [](gtm_timers *all) { \
      gtm::Timers view(all); \
      timers(view); \
    }, \
    [](const gtm_tick *due) -> gtm_outcome { return tick(gtm::Tick{gtm::view(due->timer), due->at, gtm::view(due->id), due->attempt}); })
