// Write gtm-host plugins in C.
//
// A plugin names its functions at the end of its file. It exports only those, and imports only the capabilities that it uses:
//
//   static bool is_new_user(const gtm_op *op) { … }
//   static gtm_outcome greet(const gtm_op *op) { … }
//
//   GTM_FILTER(is_new_user);
//   GTM_HANDLER(greet);
//
// Memory: a call is one run of such a function. Its arguments, and everything that a function of this header returns or writes
// into a result, last until the end of the call. The SDK frees them then. In `init`, they last as long as the instance, so that
// a plugin may keep its settings in variables. A plugin frees only what it allocates itself with malloc. What it passes to a function
// stays its own, and is copied if it has to last.
//
// gtm.h has the bindings for everything in the contract. Their results are freed by the caller: see gtm_keep.
#ifndef GTM_PLUGIN_H
#define GTM_PLUGIN_H

#include "gtm.h"

#ifdef __cplusplus
extern "C" {
#endif

// One change. gtm.h describes its fields: database, collection, operation_type, ….
typedef gtm_plugin_types_op_t gtm_op;

// Text in UTF-8, or bytes: ptr, and len in bytes. No zero byte marks the end.
typedef gtm_string_t gtm_text;

// Outcomes --------------------------------------------------------------------------------------

typedef enum gtm_what_became { GTM_DONE, GTM_RETRY, GTM_REJECT } gtm_what_became;

// Why a capability did not do what it was asked for.
typedef enum gtm_error {
  GTM_NO_ERROR,
  // The plugin is not allowed to do it: see --grant.
  GTM_NOT_GRANTED,
  // It would fail in the same way each time.
  GTM_INVALID,
  // The other side refused it for good.
  GTM_REJECTED,
  // The other side cannot be reached, or took too long.
  GTM_UNAVAILABLE,
  // It contradicts something that exists: a document with this key, for example.
  GTM_CONFLICT,
  GTM_TOO_LARGE,
} gtm_error;

// The outcome of an op, or of one use of a capability. A handler may return the outcome of a capability as its own: the host
// retries the op after GTM_NOT_GRANTED and GTM_UNAVAILABLE, and rejects it after the other errors.
typedef struct gtm_outcome {
  gtm_what_became what;
  // The reason. It lasts until the end of the call.
  gtm_text why;
  // The kind of the error, if it comes from a capability.
  gtm_error error;
  // For GTM_RETRY: the milliseconds to wait at least. 0: the host decides.
  uint64_t after;
} gtm_outcome;

gtm_outcome gtm_done(void);
// It may work later: the host retries the op after a pause. `why` is not copied.
gtm_outcome gtm_retry(gtm_text why);
// It may work after this time, as a server said (Retry-After). `why` is not copied.
gtm_outcome gtm_retry_after(uint64_t milliseconds, gtm_text why);
// It will never work: the host keeps the op among the dead letters. `why` is not copied.
gtm_outcome gtm_reject(gtm_text why);

// Exports ---------------------------------------------------------------------------------------

// Returns whether the handler gets this op. It must be quick. It may use the log and the settings only.
typedef bool gtm_filter_function(const gtm_op *op);
// Handles the op.
typedef gtm_outcome gtm_handler_function(const gtm_op *op);
// Handles several ops in their order. Each of the `count` outcomes is gtm_done() before; write those that are not.
typedef void gtm_batch_handler_function(const gtm_op *ops, size_t count, gtm_outcome *outcomes);

// Collects the subscriptions of a plugin.
typedef struct gtm_subscriber gtm_subscriber;
// Reads the settings and prepares the instance, before its first op. It may call gtm_subscribe; without a subscription, the plugin
// gets every change. Any other outcome than gtm_done() refuses the version, with its reason.
typedef gtm_outcome gtm_init_function(gtm_subscriber *subscriber);
// Subscribes to changes in a namespace like `users.*`, of these kinds: GTM_BIT(GTM_INSERT) | GTM_BIT(GTM_DELETE). 0: all kinds.
// The namespace is copied.
void gtm_subscribe(gtm_subscriber *subscriber, const char *namespace_, uint32_t kinds);

typedef enum gtm_setting_type {
  GTM_SETTING_TEXT,
  GTM_SETTING_INTEGER,
  GTM_SETTING_NUMBER,
  // true or false
  GTM_SETTING_BOOLEAN,
  // The user writes 10s. The plugin gets milliseconds: gtm_config_int64 reads 10000.
  GTM_SETTING_DURATION,
  // The user writes 1 MiB. The plugin gets bytes: gtm_config_int64 reads 1048576.
  GTM_SETTING_SIZE,
  // Texts, separated by commas: see gtm_next_text.
  GTM_SETTING_TEXTS,
  // One of `choices`.
  GTM_SETTING_CHOICE,
} gtm_setting_type;

// A setting. Its texts must last as long as the instance, as those of a static table do.
typedef struct gtm_setting {
  const char *name;
  gtm_setting_type type;
  // What it does, in one or two sentences.
  const char *doc;
  // The value if the user sets none, as the user would write it. NULL: it has no value then.
  const char *default_value;
  // The plugin does not start without it.
  bool required;
  // The host keeps its value out of logs, errors and lists.
  bool secret;
  // For GTM_SETTING_CHOICE: the texts. NULL ends them.
  const char *const *choices;
  // Names that it had before, which still work. NULL ends them.
  const char *const *former_names;
} gtm_setting;

// What the host does with ticks that it could not deliver at their time: it leaves them out, delivers the last of them, or each of them.
typedef enum gtm_missed_ticks { GTM_SKIP_MISSED, GTM_ONCE_MISSED, GTM_EACH_MISSED } gtm_missed_ticks;

// Collects the timers of a plugin.
typedef struct gtm_timers gtm_timers;
// Adds the timers, by gtm_add_timer. It runs after init, and may use the settings.
typedef void gtm_timers_function(gtm_timers *timers);
// Adds a timer. Its name has 1 to 64 letters, digits, - and _. The schedule is in UTC: an interval such as 10m, or a cron expression. Both are
// copied.
void gtm_add_timer(gtm_timers *timers, const char *name, gtm_text schedule, gtm_missed_ticks missed);

// One time at which a timer is due.
typedef struct gtm_tick {
  // The name of the timer.
  gtm_text timer;
  // The time at which it is due, in milliseconds since 1970-01-01 UTC.
  uint64_t at;
  // The same each time this tick is delivered, by any host: an idempotency key.
  gtm_text id;
  // The number of the attempt: 1, then 2, 3, …
  uint32_t attempt;
} gtm_tick;
// Does the work of a tick, on one host of the pipeline.
typedef gtm_outcome gtm_tick_function(const gtm_tick *tick);

// Exports the settings and the init function. Each may be NULL. A setting without a name ends the table. Without a table, the
// plugin accepts any setting.
#define GTM_LIFECYCLE(settings, init) GTM_EXPORT_LIFECYCLE(settings, init)
// Exports the filter, also for several ops per call, which is faster. Without it, the handler gets every op that the plugin subscribed to.
#define GTM_FILTER(function) GTM_EXPORT_FILTER(function)
// Exports the handler.
#define GTM_HANDLER(function) GTM_EXPORT_HANDLER(function)
// Exports the handler of batches, for targets with a bulk API. The host then does not call the handler of single ops.
#define GTM_BATCH_HANDLER(function) GTM_EXPORT_BATCH_HANDLER(function)

// Exports the timers and the function that does their work. A plugin with timers and without a handler gets no ops.
#define GTM_SCHEDULE(timers, tick) GTM_EXPORT_SCHEDULE(timers, tick)

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

// Returns the text of a C string, without a copy.
gtm_text gtm_text_of(const char *string);
bool gtm_equal(gtm_text text, const char *string);
// Returns a new text of these parts: gtm_join(2, (gtm_text[]){a, b}). It lasts until the end of the call.
gtm_text gtm_join(size_t count, const gtm_text *parts);
// Returns a number as a new decimal text. It lasts until the end of the call.
gtm_text gtm_number(int64_t number);
// Returns a text as a new JSON string with its quotes, for gtm_from_json. It lasts until the end of the call.
gtm_text gtm_quote(gtm_text text);
// Finds the next of several texts that are separated by commas, without the spaces around it: begins if *at is 0. It is a part of
// `texts`. False: there are no more.
bool gtm_next_text(gtm_text texts, size_t *at, gtm_text *text);
// Allocates memory that lasts until the end of the call. Without memory, it ends the instance; the host retries the op in another.
void *gtm_alloc(size_t size);
// Frees memory at the end of the call that a function of gtm.h returned: its address, and its length (which may be 0).
void gtm_keep(void *memory, size_t length);
// Returns the outcome of an error of gtm.h. It keeps the text of the error, which the caller must not free.
gtm_outcome gtm_outcome_of(const gtm_plugin_types_error_t *error);

// Documents -------------------------------------------------------------------------------------

// A BSON document that was checked: each element is complete and within it, its texts are UTF-8, and it is nested at
// most 200 deep. The bytes belong to the op or to a result, and last as long as these.
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

// An element: its name, its type, and the bytes of its value, as parts of the document.
typedef struct gtm_element {
  gtm_text name;
  gtm_type type;
  const uint8_t *value;
  size_t length;
} gtm_element;

// Reads the document after the change. False: there is none, or it is not BSON.
bool gtm_full_document(const gtm_op *op, gtm_document *document);
// Reads any other document of an op: gtm_read(&op->document_key, &key).
bool gtm_read(const gtm_plugin_types_option_bson_t *bson, gtm_document *document);
// Reads the document in these bytes, without a copy. False: they are not BSON.
bool gtm_document_of(const uint8_t *bytes, size_t length, gtm_document *document);

// Finds the element of this name. False: there is none.
bool gtm_find(gtm_document document, const char *name, gtm_element *element);
// Finds the next element, in order: begins if *at is 0. False: there are no more.
bool gtm_next(gtm_document document, size_t *at, gtm_element *element);

// The value of an element, without a copy. False: no element has this name, or it is of another type.
bool gtm_get_text(gtm_document document, const char *name, gtm_text *text);
bool gtm_get_bool(gtm_document document, const char *name, bool *value);
// From an int32, too.
bool gtm_get_int64(gtm_document document, const char *name, int64_t *value);
// From an int32 or int64, too.
bool gtm_get_double(gtm_document document, const char *name, double *value);
// In milliseconds since 1970-01-01 UTC.
bool gtm_get_date(gtm_document document, const char *name, int64_t *value);
// A document or an array, whose elements are named 0, 1, ….
bool gtm_get_document(gtm_document document, const char *name, gtm_document *value);

// Returns why a getter has no value, for gtm_reject: "email: expected a string, found an object". `expected` is "a string", for example.
// It lasts until the end of the call.
gtm_text gtm_mismatch(gtm_document document, const char *name, const char *expected);

// Converts a document into canonical Extended JSON. False: *json is the reason. It lasts until the end of the call.
bool gtm_to_json(gtm_document document, gtm_text *json);
// Converts a document into relaxed Extended JSON, which has types only where JSON has none. False: *json is the reason. It lasts until the end
// of the call.
bool gtm_to_relaxed_json(gtm_document document, gtm_text *json);
// Converts an op into one line of JSON with the names of MongoDB's change events, as `gtm-host tail` prints it: relaxed Extended JSON, or
// canonical, which has the type of each value. It is the same for each attempt. False: *json is the reason. It lasts until the end of the call.
bool gtm_to_change_event(const gtm_op *op, bool canonical, gtm_text *json);
// Converts Extended JSON, of at most 16 MiB, into a document. It lasts until the end of the call. Put texts into it with gtm_quote.
gtm_outcome gtm_from_json(gtm_text json, gtm_document *document);

// The host ---------------------------------------------------------------------------------------

void gtm_log_trace(gtm_text message);
void gtm_log_debug(gtm_text message);
void gtm_log_info(gtm_text message);
void gtm_log_warn(gtm_text message);
void gtm_log_error(gtm_text message);

// The value of a setting. False: it has no value. The text lasts until the end of the call.
bool gtm_config(const char *name, gtm_text *value);
// The value of an integer, a duration (milliseconds) or a size (bytes). False: it has no value, or is not a whole number.
bool gtm_config_int64(const char *name, int64_t *value);
// The value of a boolean. False: it has no value, or is neither true nor false.
bool gtm_config_bool(const char *name, bool *value);

// The plugin's own metrics: adds to a counter, sets a gauge, adds a value to a histogram.
void gtm_count(const char *name, uint64_t by);
void gtm_gauge(const char *name, double value);
void gtm_record(const char *name, double value);

// The functions below work in a handler only, and need a grant. Their results last until the end of the call.

// Sends a mail in plain text. gtm_plugin_mail_send in gtm.h has all fields.
gtm_outcome gtm_mail(gtm_text to, gtm_text subject, gtm_text text);

typedef struct gtm_http_header {
  gtm_text name;
  gtm_text value;
} gtm_http_header;

typedef struct gtm_http_request {
  // GET, POST, …
  const char *method;
  gtm_text url;
  const gtm_http_header *headers;
  size_t header_count;
  // NULL: the request has no body.
  const gtm_text *body;
  // The time to wait for an answer, in milliseconds. 0: the host's own limit, which applies in any case.
  uint32_t timeout;
} gtm_http_request;

// The names of headers are in lowercase.
typedef struct gtm_http_response {
  uint16_t status;
  const gtm_http_header *headers;
  size_t header_count;
  gtm_text body;
} gtm_http_response;

// Sends a request. The outcome is gtm_done() for any status, such as 404: see gtm_http_outcome.
gtm_outcome gtm_http(const gtm_http_request *request, gtm_http_response *response);
// Returns the outcome for the status of a response: done for 2xx; a retry for a status that may pass (408, 425, 429, 5xx), after the
// seconds in the header Retry-After if it has them; otherwise a rejection.
gtm_outcome gtm_http_outcome(const gtm_http_response *response);
// Returns the header Idempotency-Key with the id of the op, which is the same each time the op is delivered. A server that knows the
// header does the work once.
gtm_http_header gtm_idempotency_key(const gtm_op *op);
// Finds a header of a response by its name in lowercase. False: there is none.
bool gtm_http_find_header(const gtm_http_response *response, const char *name, gtm_text *value);

// Documents that a function returned.
typedef struct gtm_documents {
  const gtm_document *documents;
  size_t count;
} gtm_documents;

typedef struct gtm_find_options {
  // The fields to return. NULL: all.
  const gtm_document *projection;
  // NULL: in any order.
  const gtm_document *sort;
  uint64_t skip;
  // The maximum number of documents. 0: 10,000.
  uint32_t limit;
} gtm_find_options;

typedef struct gtm_update_options {
  // Update all matching documents instead of the first one.
  bool many;
  // Insert a document if none matches.
  bool upsert;
} gtm_update_options;

typedef struct gtm_update_result {
  uint64_t matched_count;
  uint64_t modified_count;
  // {_id} of the inserted document, if `has_upserted_id` is true.
  bool has_upserted_id;
  gtm_document upserted_id;
} gtm_update_result;

// Reads and writes on the cluster. A namespace is `database.collection`. `options` may be NULL, and so may `result` and `deleted_count`.
gtm_outcome gtm_mongodb_find(gtm_text namespace_, gtm_document filter, const gtm_find_options *options, gtm_documents *found);
gtm_outcome gtm_mongodb_aggregate(gtm_text namespace_, const gtm_document *stages, size_t count, gtm_documents *found);
// Inserts at most 1,000 documents, in order. The error is GTM_CONFLICT if a document with its key exists.
gtm_outcome gtm_mongodb_insert(gtm_text namespace_, const gtm_document *documents, size_t count);
gtm_outcome gtm_mongodb_update(gtm_text namespace_, gtm_document filter, gtm_document update, gtm_update_options options,
                               gtm_update_result *result);
gtm_outcome gtm_mongodb_replace(gtm_text namespace_, gtm_document filter, gtm_document replacement, bool upsert, gtm_update_result *result);
gtm_outcome gtm_mongodb_delete(gtm_text namespace_, gtm_document filter, bool many, uint64_t *deleted_count);

// A value that the plugin keeps.
typedef struct gtm_state_entry {
  gtm_text key;
  gtm_text value;
  // The milliseconds until the store forgets it. 0: it keeps the value.
  uint64_t time_to_live;
} gtm_state_entry;

typedef struct gtm_state_entries {
  const gtm_state_entry *entries;
  size_t count;
} gtm_state_entries;

// What the plugin keeps, and its limits: see gtm.h.
typedef gtm_plugin_state_quota_t gtm_state_quota;

// Values by key, for all instances of the plugin. *is_set is false if the key has no value.
gtm_outcome gtm_state_get(gtm_text key, gtm_text *value, bool *is_set);
// The store forgets the value after `time_to_live` milliseconds. 0: it keeps the value.
gtm_outcome gtm_state_set(gtm_text key, gtm_text value, uint64_t time_to_live);
gtm_outcome gtm_state_delete(gtm_text key);
// Sets the value if the current one is `expected` (NULL: if the key has none), in one step. *swapped is whether it did.
gtm_outcome gtm_state_compare_and_swap(gtm_text key, const gtm_text *expected, gtm_text value, uint64_t time_to_live, bool *swapped);
// Adds to a number, in one step. A key without a value counts as 0. With 0 as `time_to_live`, the value keeps the one that it has.
gtm_outcome gtm_state_increment(gtm_text key, int64_t by, uint64_t time_to_live, int64_t *sum);
// Returns the entries whose keys begin with `prefix`, in order: at most `limit`, 1,000 and 1 MiB. For the next page, pass the last key as
// `after` (NULL: the first page).
gtm_outcome gtm_state_list(gtm_text prefix, const gtm_text *after, uint32_t limit, gtm_state_entries *entries);
gtm_outcome gtm_state_get_quota(gtm_state_quota *quota);

// How exports are made ----------------------------------------------------------------------------

#ifdef __cplusplus
#define GTM_EXTERN_C extern "C"
#else
#define GTM_EXTERN_C
#endif
#define GTM_EXPORT(name) GTM_EXTERN_C __attribute__((__export_name__("gtm:plugin/" name)))

#define GTM_EXPORT_LIFECYCLE(settings, init) \
  GTM_EXPORT("lifecycle@0.2.0#settings") void *gtm_export_settings(void) { return gtm_call_settings(settings); } \
  GTM_EXPORT("lifecycle@0.2.0#init") void *gtm_export_init(void) { return gtm_call_init(init); } \
  typedef gtm_init_function *gtm_exported_init
#define GTM_EXPORT_FILTER(function) \
  GTM_EXPORT("filter@0.2.0#filter") int32_t gtm_export_filter(gtm_op *op) { return gtm_call_filter(function, op); } \
  GTM_EXPORT("batch-filter@0.2.0#filter") void *gtm_export_batch_filter(gtm_op *ops, size_t count) { \
    return gtm_call_batch_filter(function, ops, count); \
  } \
  typedef gtm_filter_function *gtm_exported_filter
#define GTM_EXPORT_HANDLER(function) \
  GTM_EXPORT("handler@0.2.0#handle") void *gtm_export_handler(gtm_op *op) { return gtm_call_handler(function, op); } \
  typedef gtm_handler_function *gtm_exported_handler
#define GTM_EXPORT_BATCH_HANDLER(function) \
  GTM_EXPORT("batch-handler@0.2.0#handle") void *gtm_export_batch_handler(gtm_op *ops, size_t count) { \
    return gtm_call_batch_handler(function, ops, count); \
  } \
  typedef gtm_batch_handler_function *gtm_exported_batch_handler
#define GTM_EXPORT_SCHEDULE(timers, tick) \
  GTM_EXPORT("schedule@0.2.0#timers") void *gtm_export_timers(void) { return gtm_call_timers(timers); } \
  GTM_EXPORT("schedule@0.2.0#tick") \
  void *gtm_export_tick(uint8_t *timer, size_t timer_length, uint64_t at, uint8_t *id, size_t id_length, uint32_t attempt) { \
    gtm_tick due = {{timer, timer_length}, at, {id, id_length}, attempt}; \
    return gtm_call_tick(tick, &due); \
  } \
  typedef gtm_tick_function *gtm_exported_tick

// The exports call these. They free the arguments and the memory of the call. The result lasts until the next call.
void *gtm_call_settings(const gtm_setting *settings);
void *gtm_call_init(gtm_init_function *init);
int32_t gtm_call_filter(gtm_filter_function *filter, gtm_op *op);
void *gtm_call_batch_filter(gtm_filter_function *filter, gtm_op *ops, size_t count);
void *gtm_call_handler(gtm_handler_function *handler, gtm_op *op);
void *gtm_call_batch_handler(gtm_batch_handler_function *handler, gtm_op *ops, size_t count);
void *gtm_call_timers(gtm_timers_function *timers);
void *gtm_call_tick(gtm_tick_function *tick, const gtm_tick *due);

#ifdef __cplusplus
}
#endif

#endif
