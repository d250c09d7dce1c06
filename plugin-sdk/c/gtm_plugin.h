// Write gtm-host plugins in C.
//
// A plugin defines filter and handle. What they are given, and all that comes from the functions of this header, lasts
// until they return: nothing need be freed. The contract itself, with all that can be asked of the host, is gtm.h.
#ifndef GTM_PLUGIN_H
#define GTM_PLUGIN_H

#include "gtm.h"

#ifdef __cplusplus
extern "C" {
#endif

// One change. Its fields are described in gtm.h: database, collection, operation_type, ….
typedef gtm_plugin_types_op_t gtm_op;

// Text in UTF-8: ptr, and len in bytes. There is no zero byte at its end.
typedef gtm_string_t gtm_text;

// What became of an op.
typedef enum gtm_what_became { GTM_DONE, GTM_RETRY, GTM_REJECT } gtm_what_became;
typedef struct gtm_outcome {
  gtm_what_became what;
  gtm_text why;
} gtm_outcome;

// Says whether handle is to get this op. Quick, and without effects.
bool filter(const gtm_op *op);

// Does the work.
gtm_outcome handle(const gtm_op *op);

// Done.
gtm_outcome gtm_done(void);
// It may work later: the host tries again after a pause.
gtm_outcome gtm_retry(gtm_text why);
// It will never work: the host keeps the op among the dead letters.
gtm_outcome gtm_reject(gtm_text why);

// Which changes the plugin wants: a plugin may define it, and calls gtm_subscribe in it. Without it, all.
typedef struct gtm_subscriber gtm_subscriber;
void subscriptions(gtm_subscriber *subscriber);
// Changes in namespaces like `users.*`, of these kinds: GTM_BIT(GTM_INSERT) | GTM_BIT(GTM_DELETE); 0 is all kinds.
void gtm_subscribe(gtm_subscriber *subscriber, const char *namespace_, uint32_t kinds);

#define GTM_INSERT GTM_PLUGIN_TYPES_OPERATION_TYPE_INSERT
#define GTM_UPDATE GTM_PLUGIN_TYPES_OPERATION_TYPE_UPDATE
#define GTM_REPLACE GTM_PLUGIN_TYPES_OPERATION_TYPE_REPLACE
#define GTM_DELETE GTM_PLUGIN_TYPES_OPERATION_TYPE_DELETE
#define GTM_BIT(kind) (UINT32_C(1) << (kind))

static inline bool gtm_is_insert(const gtm_op *op) { return op->operation_type == GTM_INSERT; }
static inline bool gtm_is_update(const gtm_op *op) { return op->operation_type == GTM_UPDATE; }
static inline bool gtm_is_replace(const gtm_op *op) { return op->operation_type == GTM_REPLACE; }
static inline bool gtm_is_delete(const gtm_op *op) { return op->operation_type == GTM_DELETE; }

// Text ------------------------------------------------------------------------------------------

// Text of a C string, which is not copied.
gtm_text gtm_text_of(const char *string);
bool gtm_equal(gtm_text text, const char *string);
// Texts one after another, as a new one: gtm_join(2, (gtm_text[]){a, b}).
gtm_text gtm_join(size_t count, const gtm_text *parts);
// A number in decimals.
gtm_text gtm_number(int64_t number);
// Memory until the call returns.
void *gtm_alloc(size_t size);

// Documents -------------------------------------------------------------------------------------

// A BSON document that was looked through: each element is whole and within it, its texts are UTF-8, and it is nested at
// most 200 deep.
typedef struct gtm_document {
  const uint8_t *bytes;
  size_t length;
} gtm_document;

// The types of BSON, as its specification numbers them.
typedef enum gtm_type {
  GTM_TYPE_DOUBLE = 0x01,
  GTM_TYPE_STRING = 0x02,
  GTM_TYPE_DOCUMENT = 0x03,
  GTM_TYPE_ARRAY = 0x04,
  GTM_TYPE_BINARY = 0x05,
  GTM_TYPE_UNDEFINED = 0x06,
  GTM_TYPE_OBJECT_ID = 0x07,
  GTM_TYPE_BOOL = 0x08,
  GTM_TYPE_DATE = 0x09,
  GTM_TYPE_NULL = 0x0a,
  GTM_TYPE_REGEX = 0x0b,
  GTM_TYPE_DB_POINTER = 0x0c,
  GTM_TYPE_CODE = 0x0d,
  GTM_TYPE_SYMBOL = 0x0e,
  GTM_TYPE_CODE_WITH_SCOPE = 0x0f,
  GTM_TYPE_INT32 = 0x10,
  GTM_TYPE_TIMESTAMP = 0x11,
  GTM_TYPE_INT64 = 0x12,
  GTM_TYPE_DECIMAL128 = 0x13,
  GTM_TYPE_MAX_KEY = 0x7f,
  GTM_TYPE_MIN_KEY = 0xff,
} gtm_type;

// An element: its name, its type, and the bytes of its value.
typedef struct gtm_element {
  gtm_text name;
  gtm_type type;
  const uint8_t *value;
  size_t length;
} gtm_element;

// The document after the change. False: there is none, or it is no BSON.
bool gtm_full_document(const gtm_op *op, gtm_document *document);
// Any other document of an op: gtm_read(&op->document_key, &key).
bool gtm_read(const gtm_plugin_types_option_bson_t *bson, gtm_document *document);

// The element of this name. False: there is none.
bool gtm_find(gtm_document document, const char *name, gtm_element *element);
// The elements in their order: begins where *at is 0. False: there are no more.
bool gtm_next(gtm_document document, size_t *at, gtm_element *element);

// The value of an element. False: there is none of this name, or it is of another type.
bool gtm_get_text(gtm_document document, const char *name, gtm_text *text);
bool gtm_get_bool(gtm_document document, const char *name, bool *value);
// Of int32 too.
bool gtm_get_int64(gtm_document document, const char *name, int64_t *value);
// Of int32 and int64 too.
bool gtm_get_double(gtm_document document, const char *name, double *value);
// Milliseconds since 1970-01-01 UTC.
bool gtm_get_date(gtm_document document, const char *name, int64_t *value);
// A document or an array, whose elements are named 0, 1, ….
bool gtm_get_document(gtm_document document, const char *name, gtm_document *value);

// Why a getter has no value, for gtm_reject: "email: expected a string, found an object". `expected` is "a string", say.
gtm_text gtm_mismatch(gtm_document document, const char *name, const char *expected);

// A document as canonical Extended JSON. False: what the host finds wrong with it, such as text that is no UTF-8, is in *json.
bool gtm_to_json(gtm_document document, gtm_text *json);

// The host ---------------------------------------------------------------------------------------

void gtm_log_debug(gtm_text message);
void gtm_log_info(gtm_text message);
void gtm_log_warn(gtm_text message);
void gtm_log_error(gtm_text message);

// The plugin's config. False: it has no such key.
bool gtm_config(const char *key, gtm_text *value);

// Sends a mail in plain text. What comes back is what handle gives back where the mail was not sent.
gtm_outcome gtm_mail(gtm_text to, gtm_text subject, gtm_text text);

typedef struct gtm_http_response {
  uint16_t status;
  gtm_text body;
} gtm_http_response;

// Sends a request, without a body where it is NULL. What comes back is as of gtm_mail; a status such as 404 is no failure.
gtm_outcome gtm_http(const char *method, gtm_text url, const char *content_type, const gtm_text *body, gtm_http_response *response);

#ifdef __cplusplus
}
#endif

#endif
