// What a plugin asks of the host. Memory that the host allocated for a result is kept until the end of the call.
#include <stdlib.h>
#include <string.h>

#include "gtm_plugin.h"

static void keep_text(gtm_text text) { gtm_keep(text.ptr, text.len); }

// Logs and settings -----------------------------------------------------------------------------

static void log_line(gtm_plugin_log_level_t level, gtm_text message) { gtm_plugin_log_log(level, &message); }

void gtm_log_trace(gtm_text message) { log_line(GTM_PLUGIN_LOG_LEVEL_TRACE, message); }
void gtm_log_debug(gtm_text message) { log_line(GTM_PLUGIN_LOG_LEVEL_DEBUG, message); }
void gtm_log_info(gtm_text message) { log_line(GTM_PLUGIN_LOG_LEVEL_INFO, message); }
void gtm_log_warn(gtm_text message) { log_line(GTM_PLUGIN_LOG_LEVEL_WARN, message); }
void gtm_log_error(gtm_text message) { log_line(GTM_PLUGIN_LOG_LEVEL_ERROR, message); }

bool gtm_config(const char *name, gtm_text *value) {
  gtm_text key = gtm_text_of(name);
  if (!gtm_plugin_config_get(&key, value)) return false;
  keep_text(*value);
  return true;
}

// Reads a decimal number.
static bool int64_of(gtm_text text, int64_t *value) {
  size_t at = text.len > 0 && text.ptr[0] == '-' ? 1 : 0;
  bool negative = at == 1;
  uint64_t number = 0, most = negative ? (uint64_t)INT64_MAX + 1 : INT64_MAX;
  if (at == text.len) return false;
  for (; at < text.len; at++) {
    uint8_t digit = (uint8_t)(text.ptr[at] - '0');
    if (digit > 9 || number > (most - digit) / 10) return false;
    number = number * 10 + digit;
  }
  *value = negative ? (int64_t)(0 - number) : (int64_t)number;
  return true;
}

bool gtm_config_int64(const char *name, int64_t *value) {
  gtm_text text;
  return gtm_config(name, &text) && int64_of(text, value);
}

bool gtm_config_bool(const char *name, bool *value) {
  gtm_text text;
  if (!gtm_config(name, &text)) return false;
  *value = gtm_equal(text, "true");
  return *value || gtm_equal(text, "false");
}

// Metrics ---------------------------------------------------------------------------------------

void gtm_count(const char *name, uint64_t by) {
  gtm_text text = gtm_text_of(name);
  gtm_plugin_metrics_count(&text, by);
}

void gtm_gauge(const char *name, double value) {
  gtm_text text = gtm_text_of(name);
  gtm_plugin_metrics_gauge(&text, value);
}

void gtm_record(const char *name, double value) {
  gtm_text text = gtm_text_of(name);
  gtm_plugin_metrics_record_value(&text, value);
}

// Extended JSON ---------------------------------------------------------------------------------

static const char *const OPERATION_NAMES[] = {
  "insert", "update", "replace", "delete", "create", "drop", "rename", "dropDatabase", "createIndexes", "dropIndexes", "modify", "other",
};
static const char *const ORIGIN_NAMES[] = {"oplog", "change-stream", "snapshot", "replay"};

// Converts bytes that should be a document. False: *json is the reason.
static bool to_json(gtm_plugin_types_bson_t bson, bool canonical, gtm_text *json) {
  gtm_plugin_types_error_t error;
  bool done = canonical ? gtm_plugin_extended_json_encode_canonical(&bson, json, &error) : gtm_plugin_extended_json_encode(&bson, json, &error);
  if (done) keep_text(*json);
  else *json = gtm_outcome_of(&error).why;
  return done;
}

bool gtm_to_json(gtm_document document, gtm_text *json) {
  return to_json((gtm_plugin_types_bson_t){(uint8_t *)document.bytes, document.length}, true, json);
}

bool gtm_to_relaxed_json(gtm_document document, gtm_text *json) {
  return to_json((gtm_plugin_types_bson_t){(uint8_t *)document.bytes, document.length}, false, json);
}

// The parts of a change event, which are joined once: some are as large as a document.
typedef struct {
  size_t count;
  gtm_text parts[48];
} event_parts;

static void append(event_parts *event, const char *name, gtm_text part) {
  if (event->count + 2 > sizeof event->parts / sizeof *event->parts) abort();
  event->parts[event->count++] = gtm_text_of(name);
  event->parts[event->count++] = part;
}

// Returns the JSON of a document without its braces.
static gtm_text inner(gtm_text json) { return (gtm_text){json.ptr + 1, json.len - 2}; }

bool gtm_to_change_event(const gtm_op *op, bool canonical, gtm_text *json) {
  event_parts event = {0};
  append(&event, "{\"_id\":{\"_data\":", gtm_quote(op->id));
  append(&event, "},\"operationType\":\"", gtm_text_of(OPERATION_NAMES[op->operation_type]));
  append(&event, "\"", gtm_text_of(""));
  if (op->timestamp.time != 0 || op->timestamp.increment != 0) {
    append(&event, ",\"clusterTime\":{\"$timestamp\":{\"t\":", gtm_number(op->timestamp.time));
    append(&event, ",\"i\":", gtm_number(op->timestamp.increment));
    append(&event, "}}", gtm_text_of(""));
  }
  if (op->wall_time.is_some) {
    // {wallTime: DATE}, which the host writes.
    uint8_t date[23] = {23, 0, 0, 0, GTM_TYPE_DATE, 'w', 'a', 'l', 'l', 'T', 'i', 'm', 'e'};
    for (unsigned at = 0; at < 8; at++) date[14 + at] = (uint8_t)(op->wall_time.val >> 8 * at);
    if (!to_json((gtm_plugin_types_bson_t){date, sizeof date}, canonical, json)) return false;
    append(&event, ",", inner(*json));
  }
  append(&event, ",\"ns\":{\"db\":", gtm_quote(op->database));
  if (op->collection.len > 0) append(&event, ",\"coll\":", gtm_quote(op->collection));
  append(&event, "}", gtm_text_of(""));
  const struct {
    const char *name;
    const gtm_plugin_types_option_bson_t *bson;
  } parts[] = {
    {",\"documentKey\":", &op->document_key},
    {",\"fullDocument\":", &op->full_document},
    {",\"fullDocumentBeforeChange\":", &op->full_document_before_change},
    {",\"updateDescription\":", &op->update_description},
    {",\"command\":", &op->command},
  };
  for (size_t at = 0; at < sizeof parts / sizeof *parts; at++) {
    if (!parts[at].bson->is_some) continue;
    if (!to_json(parts[at].bson->val, canonical, json)) return false;
    append(&event, parts[at].name, *json);
  }
  if (op->transaction.is_some) {
    append(&event, ",\"transaction\":{\"id\":", gtm_quote(op->transaction.val.id));
    append(&event, canonical ? ",\"index\":{\"$numberLong\":\"" : ",\"index\":", gtm_number(op->transaction.val.index));
    append(&event, canonical ? "\"}}" : "}", gtm_text_of(""));
  }
  append(&event, ",\"origin\":\"", gtm_text_of(ORIGIN_NAMES[op->origin]));
  append(&event, "\"}", gtm_text_of(""));
  *json = gtm_join(event.count, event.parts);
  return true;
}

// Checks a document that the host returned, and keeps it.
static bool keep_document(gtm_plugin_types_bson_t bson, gtm_document *document) {
  gtm_keep(bson.ptr, bson.len);
  return gtm_document_of(bson.ptr, bson.len, document);
}

static gtm_outcome not_bson(void) { return gtm_reject(gtm_text_of("a document of the result is not valid BSON")); }

gtm_outcome gtm_from_json(gtm_text json, gtm_document *document) {
  gtm_plugin_types_bson_t bson;
  gtm_plugin_types_error_t error;
  if (!gtm_plugin_extended_json_decode(&json, &bson, &error)) return gtm_outcome_of(&error);
  return keep_document(bson, document) ? gtm_done() : not_bson();
}

// Mail and HTTP ---------------------------------------------------------------------------------

gtm_outcome gtm_mail(gtm_text to, gtm_text subject, gtm_text text) {
  gtm_plugin_mail_message_t message = {.to = {&to, 1}, .subject = subject, .text = {true, text}};
  gtm_text id;
  gtm_plugin_types_error_t error;
  if (!gtm_plugin_mail_send(&message, &id, &error)) return gtm_outcome_of(&error);
  keep_text(id);
  return gtm_done();
}

_Static_assert(sizeof(gtm_http_header) == sizeof(gtm_tuple2_string_string_t), "a header has the layout of the contract");

gtm_outcome gtm_http(const gtm_http_request *request, gtm_http_response *response) {
  gtm_plugin_http_request_t sent = {
    .method = gtm_text_of(request->method),
    .url = request->url,
    .headers = {(gtm_tuple2_string_string_t *)request->headers, request->header_count},
    .timeout = {request->timeout > 0, request->timeout},
  };
  if (request->body != NULL) sent.body = (gtm_option_list_u8_t){true, {request->body->ptr, request->body->len}};
  gtm_plugin_http_response_t received;
  gtm_plugin_types_error_t error;
  if (!gtm_plugin_http_send(&sent, &received, &error)) return gtm_outcome_of(&error);
  gtm_keep(received.body.ptr, received.body.len);
  for (size_t at = 0; at < received.headers.len; at++) {
    keep_text(received.headers.ptr[at].f0);
    keep_text(received.headers.ptr[at].f1);
  }
  gtm_keep(received.headers.ptr, received.headers.len);
  *response = (gtm_http_response){
    .status = received.status,
    .headers = (const gtm_http_header *)received.headers.ptr,
    .header_count = received.headers.len,
    .body = {received.body.ptr, received.body.len},
  };
  return gtm_done();
}

gtm_outcome gtm_http_outcome(const gtm_http_response *response) {
  uint16_t status = response->status;
  if (status >= 200 && status < 300) return gtm_done();
  gtm_text parts[] = {gtm_text_of("the server answers with status "), gtm_number(status)};
  gtm_text why = gtm_join(2, parts), after;
  if (status != 408 && status != 425 && status != 429 && (status < 500 || status > 599)) return gtm_reject(why);
  int64_t seconds;
  // More than a year is not a time to wait for; the host waits for an hour at most.
  bool has_time = gtm_http_find_header(response, "retry-after", &after) && int64_of(after, &seconds) && seconds > 0 && seconds < 31536000;
  return has_time ? gtm_retry_after((uint64_t)seconds * 1000, why) : gtm_retry(why);
}

gtm_http_header gtm_idempotency_key(const gtm_op *op) { return (gtm_http_header){gtm_text_of("Idempotency-Key"), op->id}; }

bool gtm_http_find_header(const gtm_http_response *response, const char *name, gtm_text *value) {
  for (size_t at = 0; at < response->header_count; at++)
    if (gtm_equal(response->headers[at].name, name)) {
      *value = response->headers[at].value;
      return true;
    }
  return false;
}

// MongoDB ---------------------------------------------------------------------------------------

static gtm_plugin_types_bson_t lent(gtm_document document) {
  return (gtm_plugin_types_bson_t){(uint8_t *)document.bytes, document.length};
}

static gtm_plugin_mongodb_list_bson_t lent_list(const gtm_document *documents, size_t count) {
  if (count > SIZE_MAX / sizeof(gtm_plugin_types_bson_t)) abort();
  gtm_plugin_types_bson_t *list = gtm_alloc(count * sizeof *list);
  for (size_t at = 0; at < count; at++) list[at] = lent(documents[at]);
  return (gtm_plugin_mongodb_list_bson_t){list, count};
}

static gtm_plugin_mongodb_option_bson_t lent_option(const gtm_document *document) {
  return (gtm_plugin_mongodb_option_bson_t){document != NULL, document != NULL ? lent(*document) : (gtm_plugin_types_bson_t){0}};
}

static gtm_outcome keep_list(gtm_plugin_mongodb_list_bson_t list, gtm_documents *found) {
  gtm_document *documents = gtm_alloc(list.len * sizeof *documents);
  gtm_keep(list.ptr, list.len);
  bool valid = true;
  for (size_t at = 0; at < list.len; at++) valid &= keep_document(list.ptr[at], &documents[at]);
  *found = (gtm_documents){documents, list.len};
  return valid ? gtm_done() : not_bson();
}

static gtm_outcome keep_result(gtm_plugin_mongodb_update_result_t from, gtm_update_result *result) {
  gtm_update_result kept = {.matched_count = from.matched_count, .modified_count = from.modified_count};
  kept.has_upserted_id = from.upserted_id.is_some;
  if (from.upserted_id.is_some && !keep_document(from.upserted_id.val, &kept.upserted_id)) return not_bson();
  if (result != NULL) *result = kept;
  return gtm_done();
}

gtm_outcome gtm_mongodb_find(gtm_text namespace_, gtm_document filter, const gtm_find_options *options, gtm_documents *found) {
  gtm_find_options given = options != NULL ? *options : (gtm_find_options){0};
  gtm_plugin_types_bson_t lent_filter = lent(filter);
  gtm_plugin_mongodb_find_options_t lent_options = {
    .projection = lent_option(given.projection),
    .sort = lent_option(given.sort),
    .skip = {given.skip > 0, given.skip},
    .limit = {given.limit > 0, given.limit},
  };
  gtm_plugin_mongodb_list_bson_t list;
  gtm_plugin_types_error_t error;
  if (!gtm_plugin_mongodb_find(&namespace_, &lent_filter, &lent_options, &list, &error)) return gtm_outcome_of(&error);
  return keep_list(list, found);
}

gtm_outcome gtm_mongodb_aggregate(gtm_text namespace_, const gtm_document *stages, size_t count, gtm_documents *found) {
  gtm_plugin_mongodb_list_bson_t pipeline = lent_list(stages, count), list;
  gtm_plugin_types_error_t error;
  if (!gtm_plugin_mongodb_aggregate(&namespace_, &pipeline, &list, &error)) return gtm_outcome_of(&error);
  return keep_list(list, found);
}

gtm_outcome gtm_mongodb_insert(gtm_text namespace_, const gtm_document *documents, size_t count) {
  gtm_plugin_mongodb_list_bson_t list = lent_list(documents, count);
  gtm_plugin_types_error_t error;
  return gtm_plugin_mongodb_insert(&namespace_, &list, &error) ? gtm_done() : gtm_outcome_of(&error);
}

gtm_outcome gtm_mongodb_update(gtm_text namespace_, gtm_document filter, gtm_document update, gtm_update_options options,
                               gtm_update_result *result) {
  gtm_plugin_types_bson_t lent_filter = lent(filter), lent_update = lent(update);
  gtm_plugin_mongodb_update_options_t given = {options.many, options.upsert};
  gtm_plugin_mongodb_update_result_t updated;
  gtm_plugin_types_error_t error;
  if (!gtm_plugin_mongodb_update(&namespace_, &lent_filter, &lent_update, &given, &updated, &error)) return gtm_outcome_of(&error);
  return keep_result(updated, result);
}

gtm_outcome gtm_mongodb_replace(gtm_text namespace_, gtm_document filter, gtm_document replacement, bool upsert, gtm_update_result *result) {
  gtm_plugin_types_bson_t lent_filter = lent(filter), lent_replacement = lent(replacement);
  gtm_plugin_mongodb_update_result_t replaced;
  gtm_plugin_types_error_t error;
  if (!gtm_plugin_mongodb_replace(&namespace_, &lent_filter, &lent_replacement, upsert, &replaced, &error))
    return gtm_outcome_of(&error);
  return keep_result(replaced, result);
}

gtm_outcome gtm_mongodb_delete(gtm_text namespace_, gtm_document filter, bool many, uint64_t *deleted_count) {
  gtm_plugin_types_bson_t lent_filter = lent(filter);
  uint64_t count;
  gtm_plugin_types_error_t error;
  if (!gtm_plugin_mongodb_delete(&namespace_, &lent_filter, many, &count, &error)) return gtm_outcome_of(&error);
  if (deleted_count != NULL) *deleted_count = count;
  return gtm_done();
}

// State -----------------------------------------------------------------------------------------

gtm_outcome gtm_state_get(gtm_text key, gtm_text *value, bool *is_set) {
  gtm_option_list_u8_t found;
  gtm_plugin_types_error_t error;
  if (!gtm_plugin_state_get(&key, &found, &error)) return gtm_outcome_of(&error);
  *is_set = found.is_some;
  if (found.is_some) {
    *value = (gtm_text){found.val.ptr, found.val.len};
    keep_text(*value);
  }
  return gtm_done();
}

// None for 0.
static uint64_t *lent_time(uint64_t *time_to_live) { return *time_to_live > 0 ? time_to_live : NULL; }

gtm_outcome gtm_state_set(gtm_text key, gtm_text value, uint64_t time_to_live) {
  gtm_list_u8_t bytes = {value.ptr, value.len};
  gtm_plugin_types_error_t error;
  return gtm_plugin_state_set(&key, &bytes, lent_time(&time_to_live), &error) ? gtm_done() : gtm_outcome_of(&error);
}

gtm_outcome gtm_state_delete(gtm_text key) {
  gtm_plugin_types_error_t error;
  return gtm_plugin_state_delete(&key, &error) ? gtm_done() : gtm_outcome_of(&error);
}

gtm_outcome gtm_state_increment(gtm_text key, int64_t by, uint64_t time_to_live, int64_t *sum) {
  gtm_plugin_types_error_t error;
  return gtm_plugin_state_increment(&key, by, lent_time(&time_to_live), sum, &error) ? gtm_done() : gtm_outcome_of(&error);
}

gtm_outcome gtm_state_list(gtm_text prefix, const gtm_text *after, uint32_t limit, gtm_state_entries *entries) {
  gtm_plugin_state_list_entry_t list;
  gtm_plugin_types_error_t error;
  if (!gtm_plugin_state_list_entries(&prefix, (gtm_text *)after, limit, &list, &error)) return gtm_outcome_of(&error);
  gtm_state_entry *kept = gtm_alloc(list.len * sizeof *kept);
  for (size_t at = 0; at < list.len; at++) {
    gtm_plugin_state_entry_t from = list.ptr[at];
    kept[at] = (gtm_state_entry){from.key, {from.value.ptr, from.value.len}, from.time_to_live.is_some ? from.time_to_live.val : 0};
    keep_text(kept[at].key);
    keep_text(kept[at].value);
  }
  gtm_keep(list.ptr, list.len);
  *entries = (gtm_state_entries){kept, list.len};
  return gtm_done();
}

gtm_outcome gtm_state_get_quota(gtm_state_quota *quota) {
  gtm_plugin_types_error_t error;
  return gtm_plugin_state_get_quota(quota, &error) ? gtm_done() : gtm_outcome_of(&error);
}

gtm_outcome gtm_state_compare_and_swap(gtm_text key, const gtm_text *expected, gtm_text value, uint64_t time_to_live, bool *swapped) {
  gtm_list_u8_t bytes = {value.ptr, value.len}, before = {0};
  if (expected != NULL) before = (gtm_list_u8_t){expected->ptr, expected->len};
  gtm_plugin_types_error_t error;
  gtm_list_u8_t *given = expected != NULL ? &before : NULL;
  bool done = gtm_plugin_state_compare_and_swap(&key, given, &bytes, lent_time(&time_to_live), swapped, &error);
  return done ? gtm_done() : gtm_outcome_of(&error);
}
