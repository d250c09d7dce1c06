#include "gtm_plugin.h"

#include <stdlib.h>
#include <string.h>

// Memory of a call ------------------------------------------------------------------------------

// What was allocated for the call in hand, each piece with the one before it.
typedef struct piece {
  struct piece *before;
  max_align_t memory[];
} piece;

static piece *pieces;

void *gtm_alloc(size_t size) {
  if (size > SIZE_MAX - sizeof(piece)) abort();
  piece *made = malloc(sizeof(piece) + size);
  // A trap: the host throws the instance away, and tries the op again in another.
  if (made == NULL) abort();
  made->before = pieces;
  pieces = made;
  return made->memory;
}

static void free_all(void) {
  while (pieces != NULL) {
    piece *before = pieces->before;
    free(pieces);
    pieces = before;
  }
}

// Texts that the host allocated last as long as those of gtm_alloc.
static gtm_text kept(gtm_string_t from_host) {
  gtm_text copy = gtm_join(1, &from_host);
  gtm_string_free(&from_host);
  return copy;
}

// Text ------------------------------------------------------------------------------------------

gtm_text gtm_text_of(const char *string) {
  return (gtm_text){(uint8_t *)string, strlen(string)};
}

bool gtm_equal(gtm_text text, const char *string) {
  return text.len == strlen(string) && memcmp(text.ptr, string, text.len) == 0;
}

gtm_text gtm_join(size_t count, const gtm_text *parts) {
  size_t length = 0;
  for (size_t part = 0; part < count; part++) {
    if (parts[part].len > SIZE_MAX - length) abort();
    length += parts[part].len;
  }
  gtm_text joined = {gtm_alloc(length), length};
  uint8_t *end = joined.ptr;
  for (size_t part = 0; part < count; part++) {
    if (parts[part].len > 0) memcpy(end, parts[part].ptr, parts[part].len);
    end += parts[part].len;
  }
  return joined;
}

gtm_text gtm_number(int64_t number) {
  char digits[20];
  size_t at = sizeof digits;
  uint64_t rest = number < 0 ? 0 - (uint64_t)number : (uint64_t)number;
  do {
    digits[--at] = (char)('0' + rest % 10);
    rest /= 10;
  } while (rest > 0);
  if (number < 0) digits[--at] = '-';
  gtm_text text = {(uint8_t *)digits + at, sizeof digits - at};
  return gtm_join(1, &text);
}

// Documents -------------------------------------------------------------------------------------

#define DEEPEST 200
// In place of a depth: of what was looked through before, only the lengths are wanted.
#define CHECKED 0

static uint32_t u32_at(const uint8_t *bytes) {
  return (uint32_t)bytes[0] | (uint32_t)bytes[1] << 8 | (uint32_t)bytes[2] << 16 | (uint32_t)bytes[3] << 24;
}

static uint64_t u64_at(const uint8_t *bytes) {
  return (uint64_t)u32_at(bytes) | (uint64_t)u32_at(bytes + 4) << 32;
}

static bool is_document(const uint8_t *bytes, size_t room, size_t *length, unsigned depth);

// Whether this is UTF-8: text that is none would end the instance where it is given to the host.
static bool is_utf8(const uint8_t *bytes, size_t length) {
  for (size_t at = 0; at < length;) {
    uint8_t first = bytes[at];
    size_t more = first < 0x80 ? 0 : first < 0xc2 ? 4 : first < 0xe0 ? 1 : first < 0xf0 ? 2 : first < 0xf5 ? 3 : 4;
    if (more == 4 || more >= length - at) return false;
    for (size_t byte = 1; byte <= more; byte++)
      if ((bytes[at + byte] & 0xc0) != 0x80) return false;
    // Longer than need be, halves of pairs of UTF-16, and beyond the last.
    uint8_t second = more > 0 ? bytes[at + 1] : 0;
    if ((first == 0xe0 && second < 0xa0) || (first == 0xed && second > 0x9f)) return false;
    if ((first == 0xf0 && second < 0x90) || (first == 0xf4 && second > 0x8f)) return false;
    at += more + 1;
  }
  return true;
}

// The length of a text up to its zero byte, with it.
static bool cstring(const uint8_t *bytes, size_t room, size_t *length, unsigned depth) {
  const uint8_t *end = room > 0 ? memchr(bytes, 0, room) : NULL;
  if (end == NULL) return false;
  *length = (size_t)(end - bytes) + 1;
  return depth == CHECKED || is_utf8(bytes, *length - 1);
}

// The length of a string with the four bytes before it that say how long it is, and its zero byte.
static bool string(const uint8_t *bytes, size_t room, size_t *length, unsigned depth) {
  if (room < 5) return false;
  uint32_t text = u32_at(bytes);
  if (text == 0 || text > room - 4 || bytes[4 + text - 1] != 0) return false;
  *length = 4 + (size_t)text;
  return depth == CHECKED || is_utf8(bytes + 4, text - 1);
}

// The length of a value, if it is whole.
static bool value(uint8_t type, const uint8_t *bytes, size_t room, size_t *length, unsigned depth) {
  size_t first, second;
  switch (type) {
  case GTM_TYPE_UNDEFINED: case GTM_TYPE_NULL: case GTM_TYPE_MIN_KEY: case GTM_TYPE_MAX_KEY: *length = 0; return true;
  case GTM_TYPE_BOOL: *length = 1; return room >= 1 && bytes[0] <= 1;
  case GTM_TYPE_INT32: *length = 4; return room >= 4;
  case GTM_TYPE_DOUBLE: case GTM_TYPE_DATE: case GTM_TYPE_TIMESTAMP: case GTM_TYPE_INT64: *length = 8; return room >= 8;
  case GTM_TYPE_OBJECT_ID: *length = 12; return room >= 12;
  case GTM_TYPE_DECIMAL128: *length = 16; return room >= 16;
  case GTM_TYPE_STRING: case GTM_TYPE_CODE: case GTM_TYPE_SYMBOL: return string(bytes, room, length, depth);
  case GTM_TYPE_DOCUMENT: case GTM_TYPE_ARRAY:
    if (depth != CHECKED) return is_document(bytes, room, length, depth + 1);
    *length = u32_at(bytes);
    return true;
  case GTM_TYPE_BINARY:
    if (room < 5 || u32_at(bytes) > room - 5) return false;
    *length = 5 + (size_t)u32_at(bytes);
    return true;
  case GTM_TYPE_REGEX:
    if (!cstring(bytes, room, &first, depth) || !cstring(bytes + first, room - first, &second, depth)) return false;
    *length = first + second;
    return true;
  case GTM_TYPE_DB_POINTER:
    if (!string(bytes, room, &first, depth) || room - first < 12) return false;
    *length = first + 12;
    return true;
  case GTM_TYPE_CODE_WITH_SCOPE:
    if (room < 4 || u32_at(bytes) > room || u32_at(bytes) < 4) return false;
    *length = u32_at(bytes);
    if (depth == CHECKED) return true;
    return string(bytes + 4, *length - 4, &first, depth) && is_document(bytes + 4 + first, *length - 4 - first, &second, depth + 1)
      && 4 + first + second == *length;
  default: return false;
  }
}

// Reads the element at `at`, and gives back where the next one is. 0: it is not whole.
static size_t element_at(const uint8_t *bytes, size_t end, size_t at, gtm_element *element, unsigned depth) {
  uint8_t type = bytes[at++];
  size_t name, length;
  if (!cstring(bytes + at, end - at, &name, depth)) return 0;
  const uint8_t *begin = bytes + at + name;
  if (!value(type, begin, end - at - name, &length, depth)) return 0;
  *element = (gtm_element){{(uint8_t *)bytes + at, name - 1}, (gtm_type)type, begin, length};
  return at + name + length;
}

static bool is_document(const uint8_t *bytes, size_t room, size_t *length, unsigned depth) {
  if (depth > DEEPEST || room < 5) return false;
  *length = u32_at(bytes);
  if (*length < 5 || *length > room || bytes[*length - 1] != 0) return false;
  size_t end = *length - 1;
  gtm_element element;
  for (size_t at = 4; at < end;) {
    at = element_at(bytes, end, at, &element, depth);
    if (at == 0 || at > end) return false;
  }
  return true;
}

bool gtm_read(const gtm_plugin_types_option_bson_t *bson, gtm_document *document) {
  size_t length;
  if (!bson->is_some || !is_document(bson->val.ptr, bson->val.len, &length, 1) || length != bson->val.len) return false;
  *document = (gtm_document){bson->val.ptr, length};
  return true;
}

bool gtm_full_document(const gtm_op *op, gtm_document *document) { return gtm_read(&op->full_document, document); }

bool gtm_next(gtm_document document, size_t *at, gtm_element *element) {
  if (*at == 0) *at = 4;
  if (document.length < 5 || *at >= document.length - 1) return false;
  size_t next = element_at(document.bytes, document.length - 1, *at, element, CHECKED);
  if (next == 0) return false;
  *at = next;
  return true;
}

bool gtm_find(gtm_document document, const char *name, gtm_element *element) {
  for (size_t at = 0; gtm_next(document, &at, element);)
    if (gtm_equal(element->name, name)) return true;
  return false;
}

bool gtm_get_text(gtm_document document, const char *name, gtm_text *text) {
  gtm_element element;
  if (!gtm_find(document, name, &element) || element.type != GTM_TYPE_STRING) return false;
  *text = (gtm_text){(uint8_t *)element.value + 4, element.length - 5};
  return true;
}

bool gtm_get_bool(gtm_document document, const char *name, bool *value) {
  gtm_element element;
  if (!gtm_find(document, name, &element) || element.type != GTM_TYPE_BOOL) return false;
  *value = element.value[0] != 0;
  return true;
}

bool gtm_get_int64(gtm_document document, const char *name, int64_t *value) {
  gtm_element element;
  if (!gtm_find(document, name, &element)) return false;
  switch (element.type) {
  case GTM_TYPE_INT32: *value = (int32_t)u32_at(element.value); return true;
  case GTM_TYPE_INT64: *value = (int64_t)u64_at(element.value); return true;
  default: return false;
  }
}

bool gtm_get_double(gtm_document document, const char *name, double *value) {
  gtm_element element;
  int64_t whole;
  if (gtm_get_int64(document, name, &whole)) {
    *value = (double)whole;
    return true;
  }
  if (!gtm_find(document, name, &element) || element.type != GTM_TYPE_DOUBLE) return false;
  uint64_t bits = u64_at(element.value);
  memcpy(value, &bits, sizeof bits);
  return true;
}

bool gtm_get_date(gtm_document document, const char *name, int64_t *value) {
  gtm_element element;
  if (!gtm_find(document, name, &element) || element.type != GTM_TYPE_DATE) return false;
  *value = (int64_t)u64_at(element.value);
  return true;
}

bool gtm_get_document(gtm_document document, const char *name, gtm_document *value) {
  gtm_element element;
  if (!gtm_find(document, name, &element)) return false;
  if (element.type != GTM_TYPE_DOCUMENT && element.type != GTM_TYPE_ARRAY) return false;
  *value = (gtm_document){element.value, element.length};
  return true;
}

static const char *type_name(gtm_type type) {
  switch (type) {
  case GTM_TYPE_DOUBLE: return "a double";
  case GTM_TYPE_STRING: return "a string";
  case GTM_TYPE_DOCUMENT: return "an object";
  case GTM_TYPE_ARRAY: return "an array";
  case GTM_TYPE_BINARY: return "binary data";
  case GTM_TYPE_UNDEFINED: return "undefined";
  case GTM_TYPE_OBJECT_ID: return "an ObjectId";
  case GTM_TYPE_BOOL: return "a boolean";
  case GTM_TYPE_DATE: return "a date";
  case GTM_TYPE_NULL: return "null";
  case GTM_TYPE_REGEX: return "a regular expression";
  case GTM_TYPE_DB_POINTER: return "a DBPointer";
  case GTM_TYPE_CODE: case GTM_TYPE_CODE_WITH_SCOPE: return "JavaScript code";
  case GTM_TYPE_SYMBOL: return "a symbol";
  case GTM_TYPE_INT32: case GTM_TYPE_INT64: return "an integer";
  case GTM_TYPE_TIMESTAMP: return "a timestamp";
  case GTM_TYPE_DECIMAL128: return "a Decimal128";
  case GTM_TYPE_MAX_KEY: return "the MaxKey";
  case GTM_TYPE_MIN_KEY: return "the MinKey";
  }
  return "an unknown type";
}

gtm_text gtm_mismatch(gtm_document document, const char *name, const char *expected) {
  gtm_element element;
  const char *found = gtm_find(document, name, &element) ? type_name(element.type) : "nothing";
  gtm_text parts[] = {gtm_text_of(name), gtm_text_of(": expected "), gtm_text_of(expected), gtm_text_of(", found "), gtm_text_of(found)};
  return gtm_join(5, parts);
}

bool gtm_to_json(gtm_document document, gtm_text *json) {
  gtm_plugin_extended_json_bson_t bson = {(uint8_t *)document.bytes, document.length};
  gtm_string_t text, error;
  bool done = gtm_plugin_extended_json_encode_canonical(&bson, &text, &error);
  *json = kept(done ? text : error);
  return done;
}

// The host --------------------------------------------------------------------------------------

static void log_line(gtm_plugin_log_level_t level, gtm_text message) { gtm_plugin_log_log(level, &message); }

void gtm_log_debug(gtm_text message) { log_line(GTM_PLUGIN_LOG_LEVEL_DEBUG, message); }
void gtm_log_info(gtm_text message) { log_line(GTM_PLUGIN_LOG_LEVEL_INFO, message); }
void gtm_log_warn(gtm_text message) { log_line(GTM_PLUGIN_LOG_LEVEL_WARN, message); }
void gtm_log_error(gtm_text message) { log_line(GTM_PLUGIN_LOG_LEVEL_ERROR, message); }

bool gtm_config(const char *key, gtm_text *value) {
  gtm_text name = gtm_text_of(key);
  gtm_option_string_t found;
  wasi_config_store_error_t error;
  if (!wasi_config_store_get(&name, &found, &error)) {
    wasi_config_store_error_free(&error);
    return false;
  }
  if (found.is_some) *value = kept(found.val);
  return found.is_some;
}

gtm_outcome gtm_mail(gtm_text to, gtm_text subject, gtm_text text) {
  gtm_plugin_mail_message_t message = {.to = {&to, 1}, .subject = subject, .text = {true, text}};
  gtm_string_t id;
  gtm_plugin_mail_error_t error;
  if (gtm_plugin_mail_send(&message, &id, &error)) {
    gtm_string_free(&id);
    return gtm_done();
  }
  // All variants hold their text at the same place.
  gtm_text why = kept(error.val.invalid);
  bool for_good = error.tag == GTM_PLUGIN_MAIL_ERROR_INVALID || error.tag == GTM_PLUGIN_MAIL_ERROR_REJECTED;
  return for_good ? gtm_reject(why) : gtm_retry(why);
}

gtm_outcome gtm_http(const char *method, gtm_text url, const char *content_type, const gtm_text *body, gtm_http_response *response) {
  gtm_tuple2_string_string_t header = {gtm_text_of("content-type"), gtm_text_of(content_type != NULL ? content_type : "")};
  gtm_plugin_http_request_t request = {.method = gtm_text_of(method), .url = url, .headers = {&header, content_type != NULL ? 1 : 0}};
  if (body != NULL) request.body = (gtm_option_list_u8_t){true, {body->ptr, body->len}};
  gtm_plugin_http_response_t received;
  gtm_plugin_http_error_t error;
  if (!gtm_plugin_http_send(&request, &received, &error)) {
    gtm_text why = kept(error.val.invalid);
    return error.tag == GTM_PLUGIN_HTTP_ERROR_INVALID ? gtm_reject(why) : gtm_retry(why);
  }
  gtm_text received_body = {received.body.ptr, received.body.len};
  *response = (gtm_http_response){received.status, gtm_join(1, &received_body)};
  gtm_plugin_http_response_free(&received);
  return gtm_done();
}

// Outcomes and exports ---------------------------------------------------------------------------

gtm_outcome gtm_done(void) { return (gtm_outcome){GTM_DONE, {NULL, 0}}; }
gtm_outcome gtm_retry(gtm_text why) { return (gtm_outcome){GTM_RETRY, why}; }
gtm_outcome gtm_reject(gtm_text why) { return (gtm_outcome){GTM_REJECT, why}; }

bool exports_gtm_filter(gtm_op_t *op) {
  bool wanted = filter(op);
  free_all();
  gtm_op_free(op);
  return wanted;
}

bool exports_gtm_handle(gtm_op_t *op, gtm_failure_t *failure) {
  gtm_outcome outcome = handle(op);
  if (outcome.what != GTM_DONE) {
    failure->tag = outcome.what == GTM_RETRY ? GTM_PLUGIN_TYPES_FAILURE_RETRY : GTM_PLUGIN_TYPES_FAILURE_REJECT;
    // The host takes it after this call, and frees it.
    gtm_string_dup_n(&failure->val.retry, (const char *)outcome.why.ptr, outcome.why.len);
  }
  free_all();
  gtm_op_free(op);
  return outcome.what == GTM_DONE;
}

struct gtm_subscriber {
  gtm_list_subscription_t list;
};

__attribute__((weak)) void subscriptions(gtm_subscriber *subscriber) { (void)subscriber; }

void gtm_subscribe(gtm_subscriber *subscriber, const char *namespace_, uint32_t kinds) {
  gtm_list_subscription_t *list = &subscriber->list;
  gtm_subscription_t *grown = realloc(list->ptr, (list->len + 1) * sizeof *grown);
  uint8_t *types = malloc(32);
  if (grown == NULL || types == NULL) abort();
  size_t count = 0;
  for (uint8_t kind = 0; kind < 32; kind++)
    if (kinds & GTM_BIT(kind)) types[count++] = kind;
  if (count == 0) free(types);
  grown[list->len] = (gtm_subscription_t){.operation_types = {types, count}};
  gtm_string_dup(&grown[list->len].namespace_, namespace_);
  list->ptr = grown;
  list->len++;
}

void exports_gtm_subscriptions(gtm_list_subscription_t *list) {
  gtm_subscriber subscriber = {{NULL, 0}};
  subscriptions(&subscriber);
  *list = subscriber.list;
}
