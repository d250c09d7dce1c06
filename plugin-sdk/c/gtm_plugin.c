// The memory of a call, texts, outcomes, and the exports.
#include "gtm_plugin.h"

#include <stdlib.h>
#include <string.h>

// Memory ----------------------------------------------------------------------------------------

// A piece of memory, with the one that was allocated before it.
typedef struct piece {
  struct piece *before;
  // Memory that is freed with the piece, or NULL.
  void *kept;
  max_align_t memory[];
} piece;

// What lasts until the end of the call.
static piece *of_call;
// What the host reads after a call. It lasts until the next one.
static piece *returned;

static piece *add(piece **list, size_t size) {
  if (size > SIZE_MAX - sizeof(piece)) abort();
  piece *made = malloc(sizeof(piece) + size);
  // A trap: the host discards the instance, and retries the op in another.
  if (made == NULL) abort();
  *made = (piece){.before = *list};
  *list = made;
  return made;
}

static void free_all(piece **list) {
  while (*list != NULL) {
    piece *last = *list;
    *list = last->before;
    free(last->kept);
    free(last);
  }
}

void *gtm_alloc(size_t size) { return add(&of_call, size)->memory; }

void gtm_keep(void *memory, size_t length) {
  // Memory without a byte was not allocated.
  if (length > 0) add(&of_call, 0)->kept = memory;
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

gtm_text gtm_quote(gtm_text text) {
  // At most \u00ff for each byte, and two quotes.
  if (text.len > (SIZE_MAX - 2) / 6) abort();
  size_t length = 2;
  for (size_t at = 0; at < text.len; at++)
    length += text.ptr[at] < 0x20 ? 6 : text.ptr[at] == '"' || text.ptr[at] == '\\' ? 2 : 1;
  gtm_text quoted = {gtm_alloc(length), length};
  uint8_t *end = quoted.ptr;
  *end++ = '"';
  for (size_t at = 0; at < text.len; at++) {
    uint8_t byte = text.ptr[at];
    if (byte < 0x20) {
      memcpy(end, "\\u00", 4);
      end[4] = byte < 0x10 ? '0' : '1';
      end[5] = (uint8_t)"0123456789abcdef"[byte & 0xf];
      end += 6;
      continue;
    }
    if (byte == '"' || byte == '\\') *end++ = '\\';
    *end++ = byte;
  }
  *end = '"';
  return quoted;
}

bool gtm_next_text(gtm_text texts, size_t *at, gtm_text *text) {
  while (*at < texts.len) {
    size_t begin = *at, end = begin;
    while (end < texts.len && texts.ptr[end] != ',') end++;
    *at = end + 1;
    while (begin < end && texts.ptr[begin] == ' ') begin++;
    while (end > begin && texts.ptr[end - 1] == ' ') end--;
    if (end > begin) {
      *text = (gtm_text){texts.ptr + begin, end - begin};
      return true;
    }
  }
  return false;
}

// Outcomes --------------------------------------------------------------------------------------

gtm_outcome gtm_done(void) { return (gtm_outcome){.what = GTM_DONE}; }
gtm_outcome gtm_retry(gtm_text why) { return (gtm_outcome){.what = GTM_RETRY, .why = why}; }
gtm_outcome gtm_retry_after(uint64_t milliseconds, gtm_text why) {
  return (gtm_outcome){.what = GTM_RETRY, .why = why, .after = milliseconds};
}
gtm_outcome gtm_reject(gtm_text why) { return (gtm_outcome){.what = GTM_REJECT, .why = why}; }

gtm_outcome gtm_outcome_of(const gtm_plugin_types_error_t *error) {
  // All variants have their text at the same place.
  gtm_text why = error->val.invalid;
  gtm_keep(why.ptr, why.len);
  bool may_pass = error->tag == GTM_PLUGIN_TYPES_ERROR_NOT_GRANTED || error->tag == GTM_PLUGIN_TYPES_ERROR_UNAVAILABLE;
  // GTM_NO_ERROR comes before the errors of the contract.
  gtm_error kind = (gtm_error)(error->tag + 1);
  return (gtm_outcome){.what = may_pass ? GTM_RETRY : GTM_REJECT, .why = why, .error = kind};
}

// Exports ---------------------------------------------------------------------------------------
// The structs have the layout of the contract's types in memory.

_Static_assert(sizeof(gtm_op) == 144, "an op has the layout of the contract");

typedef struct handled {
  bool is_err;
  gtm_plugin_types_failure_t failure;
} handled;

_Static_assert(sizeof(handled) == 32, "a result has the layout of the contract");

typedef struct list {
  const void *items;
  size_t count;
} list;

typedef struct text_option {
  bool is_some;
  gtm_text text;
} text_option;

typedef struct declared_setting {
  gtm_text name;
  uint8_t type;
  list choices;
  text_option default_value;
  gtm_text doc;
  bool required, secret;
  list former_names;
} declared_setting;

_Static_assert(sizeof(declared_setting) == 52, "a setting has the layout of the contract");

typedef struct subscription {
  gtm_text namespace_;
  list kinds;
} subscription;

static void *alloc_returned(size_t size) { return add(&returned, size)->memory; }

static gtm_text copy_returned(gtm_text text) {
  gtm_text copy = {alloc_returned(text.len), text.len};
  if (text.len > 0) memcpy(copy.ptr, text.ptr, text.len);
  return copy;
}

static void free_op(gtm_op *op) { gtm_plugin_types_op_free(op); }

int32_t gtm_call_filter(gtm_filter_function *filter, gtm_op *op) {
  bool wanted = filter(op);
  free_all(&of_call);
  free_op(op);
  free(op);
  return wanted;
}

void *gtm_call_batch_filter(gtm_filter_function *filter, gtm_op *ops, size_t count) {
  static list results;
  free_all(&returned);
  bool *wanted = alloc_returned(count);
  for (size_t op = 0; op < count; op++) {
    wanted[op] = filter(&ops[op]);
    free_all(&of_call);
    free_op(&ops[op]);
  }
  if (count > 0) free(ops);
  results = (list){wanted, count};
  return &results;
}

static void write_outcome(gtm_outcome outcome, handled *result) {
  *result = (handled){.is_err = outcome.what != GTM_DONE};
  if (outcome.what == GTM_DONE) return;
  gtm_text why = copy_returned(outcome.why);
  if (outcome.what == GTM_REJECT) {
    result->failure.tag = GTM_PLUGIN_TYPES_FAILURE_REJECT;
    result->failure.val.reject = why;
  } else if (outcome.after > 0) {
    result->failure.tag = GTM_PLUGIN_TYPES_FAILURE_RETRY_AFTER;
    result->failure.val.retry_after = (gtm_plugin_types_delayed_retry_t){outcome.after, why};
  } else {
    result->failure.tag = GTM_PLUGIN_TYPES_FAILURE_RETRY;
    result->failure.val.retry = why;
  }
}

void *gtm_call_handler(gtm_handler_function *handler, gtm_op *op) {
  static handled result;
  free_all(&returned);
  write_outcome(handler(op), &result);
  free_all(&of_call);
  free_op(op);
  free(op);
  return &result;
}

void *gtm_call_batch_handler(gtm_batch_handler_function *handler, gtm_op *ops, size_t count) {
  static list results;
  free_all(&returned);
  if (count > SIZE_MAX / sizeof(gtm_outcome)) abort();
  gtm_outcome *outcomes = gtm_alloc(count * sizeof *outcomes);
  for (size_t op = 0; op < count; op++) outcomes[op] = gtm_done();
  handler(ops, count, outcomes);
  handled *written = alloc_returned(count * sizeof *written);
  for (size_t op = 0; op < count; op++) write_outcome(outcomes[op], &written[op]);
  results = (list){written, count};
  free_all(&of_call);
  for (size_t op = 0; op < count; op++) free_op(&ops[op]);
  if (count > 0) free(ops);
  return &results;
}

static list list_of_strings(const char *const *strings) {
  size_t count = 0;
  while (strings != NULL && strings[count] != NULL) count++;
  gtm_text *texts = alloc_returned(count * sizeof *texts);
  for (size_t at = 0; at < count; at++) texts[at] = gtm_text_of(strings[at]);
  return (list){texts, count};
}

void *gtm_call_settings(const gtm_setting *settings) {
  static struct { bool is_some; list settings; } result;
  free_all(&returned);
  if (settings == NULL) return &result;
  size_t count = 0;
  while (settings[count].name != NULL) count++;
  declared_setting *declared = alloc_returned(count * sizeof *declared);
  for (size_t at = 0; at < count; at++) {
    const gtm_setting *from = &settings[at];
    bool has_default = from->default_value != NULL;
    declared[at] = (declared_setting){
      .name = gtm_text_of(from->name),
      .type = (uint8_t)from->type,
      .choices = from->type == GTM_SETTING_CHOICE ? list_of_strings(from->choices) : (list){0},
      .default_value = {has_default, gtm_text_of(has_default ? from->default_value : "")},
      .doc = gtm_text_of(from->doc != NULL ? from->doc : ""),
      .required = from->required,
      .secret = from->secret,
      .former_names = list_of_strings(from->former_names),
    };
  }
  result.is_some = true;
  result.settings = (list){declared, count};
  return &result;
}

struct gtm_subscriber {
  subscription *subscriptions;
  size_t count;
};

void gtm_subscribe(gtm_subscriber *subscriber, const char *namespace_, uint32_t kinds) {
  subscription *more = alloc_returned((subscriber->count + 1) * sizeof *more);
  if (subscriber->count > 0) memcpy(more, subscriber->subscriptions, subscriber->count * sizeof *more);
  uint8_t *types = alloc_returned(32);
  size_t count = 0;
  for (uint8_t kind = 0; kind < 32; kind++)
    if (kinds & GTM_BIT(kind)) types[count++] = kind;
  more[subscriber->count] = (subscription){copy_returned(gtm_text_of(namespace_)), {types, count}};
  subscriber->subscriptions = more;
  subscriber->count++;
}

void *gtm_call_init(gtm_init_function *init) {
  static struct { bool is_err; list subscriptions; } result;
  free_all(&returned);
  gtm_subscriber subscriber = {0};
  gtm_outcome outcome = init != NULL ? init(&subscriber) : gtm_done();
  // What it allocated lasts as long as the instance.
  of_call = NULL;
  result.is_err = outcome.what != GTM_DONE;
  result.subscriptions = result.is_err ? (list){copy_returned(outcome.why).ptr, outcome.why.len}
                                       : (list){subscriber.subscriptions, subscriber.count};
  return &result;
}

typedef struct declared_timer {
  gtm_text name, schedule;
  uint8_t missed;
} declared_timer;

_Static_assert(sizeof(declared_timer) == 20, "a timer has the layout of the contract");

struct gtm_timers {
  declared_timer *timers;
  size_t count;
};

void gtm_add_timer(gtm_timers *timers, const char *name, gtm_text schedule, gtm_missed_ticks missed) {
  declared_timer *more = alloc_returned((timers->count + 1) * sizeof *more);
  if (timers->count > 0) memcpy(more, timers->timers, timers->count * sizeof *more);
  more[timers->count] = (declared_timer){copy_returned(gtm_text_of(name)), copy_returned(schedule), (uint8_t)missed};
  timers->timers = more;
  timers->count++;
}

void *gtm_call_timers(gtm_timers_function *timers) {
  static list result;
  free_all(&returned);
  gtm_timers all = {0};
  timers(&all);
  free_all(&of_call);
  result = (list){all.timers, all.count};
  return &result;
}

void *gtm_call_tick(gtm_tick_function *tick, const gtm_tick *due) {
  static handled result;
  free_all(&returned);
  write_outcome(tick(due), &result);
  free_all(&of_call);
  if (due->timer.len > 0) free(due->timer.ptr);
  if (due->id.len > 0) free(due->id.ptr);
  return &result;
}
