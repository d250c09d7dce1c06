// Reads BSON. Every length is checked before a byte is read.
#include <string.h>

#include "gtm_plugin.h"

#define MAX_DEPTH 200
// Stands for the depth in a document that was checked before, where only lengths are needed.
#define CHECKED 0

static uint32_t u32_at(const uint8_t *bytes) {
  return (uint32_t)bytes[0] | (uint32_t)bytes[1] << 8 | (uint32_t)bytes[2] << 16 | (uint32_t)bytes[3] << 24;
}

static uint64_t u64_at(const uint8_t *bytes) {
  return (uint64_t)u32_at(bytes) | (uint64_t)u32_at(bytes + 4) << 32;
}

static bool is_document(const uint8_t *bytes, size_t room, size_t *length, unsigned depth);

// Returns whether this is UTF-8. The host ends an instance that passes other bytes as text.
static bool is_utf8(const uint8_t *bytes, size_t length) {
  for (size_t at = 0; at < length;) {
    uint8_t first = bytes[at];
    size_t more = first < 0x80 ? 0 : first < 0xc2 ? 4 : first < 0xe0 ? 1 : first < 0xf0 ? 2 : first < 0xf5 ? 3 : 4;
    if (more == 4 || more >= length - at) return false;
    for (size_t byte = 1; byte <= more; byte++)
      if ((bytes[at + byte] & 0xc0) != 0x80) return false;
    // Longer than necessary, halves of pairs of UTF-16, and beyond the last.
    uint8_t second = more > 0 ? bytes[at + 1] : 0;
    if ((first == 0xe0 && second < 0xa0) || (first == 0xed && second > 0x9f)) return false;
    if ((first == 0xf0 && second < 0x90) || (first == 0xf4 && second > 0x8f)) return false;
    at += more + 1;
  }
  return true;
}

// Finds the length of a text up to its zero byte, including it.
static bool cstring(const uint8_t *bytes, size_t room, size_t *length, unsigned depth) {
  const uint8_t *end = room > 0 ? memchr(bytes, 0, room) : NULL;
  if (end == NULL) return false;
  *length = (size_t)(end - bytes) + 1;
  return depth == CHECKED || is_utf8(bytes, *length - 1);
}

// Finds the length of a string, including the four bytes of its length before it, and its zero byte.
static bool string(const uint8_t *bytes, size_t room, size_t *length, unsigned depth) {
  if (room < 5) return false;
  uint32_t text = u32_at(bytes);
  if (text == 0 || text > room - 4 || bytes[4 + text - 1] != 0) return false;
  *length = 4 + (size_t)text;
  return depth == CHECKED || is_utf8(bytes + 4, text - 1);
}

// Finds the length of a value. False: it is not complete.
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

// Reads the element at `at`, and returns the position of the next one. 0: it is not complete.
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
  if (depth > MAX_DEPTH || room < 5) return false;
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

bool gtm_document_of(const uint8_t *bytes, size_t length, gtm_document *document) {
  size_t found;
  if (!is_document(bytes, length, &found, 1) || found != length) return false;
  *document = (gtm_document){bytes, length};
  return true;
}

bool gtm_read(const gtm_plugin_types_option_bson_t *bson, gtm_document *document) {
  return bson->is_some && gtm_document_of(bson->val.ptr, bson->val.len, document);
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
