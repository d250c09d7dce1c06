// Does the errand that is written in each document inserted into a collection `errands`, and logs the result:
// `NUMBER ok WHAT` or `NUMBER error WHAT`, where the number is the document's `_id`. The same as the plugin errand, in C, and in batches.
#include "gtm_plugin.h"

static const char *const LEVELS[] = {"low", "high", NULL};
static const char *const FORMER_LEVEL[] = {"grade", NULL};
static const gtm_setting SETTINGS[] = {
  {.name = "database", .doc = "The database of the errands."},
  {.name = "key", .type = GTM_SETTING_TEXT},
  {.name = "pause", .type = GTM_SETTING_DURATION, .default_value = "10s", .doc = "A time."},
  {.name = "size", .type = GTM_SETTING_SIZE, .default_value = "1 MiB", .doc = "A size."},
  {.name = "level", .type = GTM_SETTING_CHOICE, .choices = LEVELS, .former_names = FORMER_LEVEL, .doc = "A choice."},
  {.name = "token", .secret = true, .doc = "A secret."},
  {0},
};

static gtm_text database;

// The errands of a call, each an op of its own.
typedef struct errand {
  const gtm_op *op;
  gtm_document document;
} errand;

static gtm_outcome said(const char *text, gtm_text *result) {
  *result = gtm_text_of(text);
  return gtm_done();
}

static gtm_text text_of(errand errand, const char *name) {
  gtm_text text = {NULL, 0};
  gtm_get_text(errand.document, name, &text);
  return text;
}

static gtm_document document_of(errand errand, const char *name) {
  static const uint8_t EMPTY[] = {5, 0, 0, 0, 0};
  gtm_document document = {EMPTY, sizeof EMPTY};
  gtm_get_document(errand.document, name, &document);
  return document;
}

static gtm_text json_of(gtm_document document) {
  gtm_text json;
  gtm_to_relaxed_json(document, &json);
  return json;
}

static gtm_text list_of(gtm_documents found) {
  gtm_text list = gtm_text_of("");
  for (size_t at = 0; at < found.count; at++)
    list = gtm_join(3, (gtm_text[]){list, gtm_text_of(at > 0 ? "," : ""), json_of(found.documents[at])});
  gtm_text count = gtm_number((int64_t)found.count);
  return gtm_join(4, (gtm_text[]){count, gtm_text_of(" ["), list, gtm_text_of("]")});
}

static gtm_outcome http(errand errand, gtm_text *result) {
  gtm_http_header headers[10] = {gtm_idempotency_key(errand.op)};
  size_t count = 1, at = 0;
  gtm_element element;
  while (count < 10 && gtm_next(document_of(errand, "headers"), &at, &element)) {
    gtm_text value = {(uint8_t *)element.value + 4, element.length - 5};
    headers[count++] = (gtm_http_header){element.name, value};
  }
  gtm_text body = text_of(errand, "body");
  int64_t timeout = 0;
  gtm_get_int64(errand.document, "timeout", &timeout);
  gtm_http_request request = {
    .method = gtm_equal(text_of(errand, "method"), "POST") ? "POST" : "GET",
    .url = text_of(errand, "url"),
    .headers = headers,
    .header_count = count,
    .body = body.ptr != NULL ? &body : NULL,
    .timeout = (uint32_t)timeout,
  };
  gtm_http_response response;
  gtm_outcome outcome = gtm_http(&request, &response);
  if (outcome.what == GTM_DONE && gtm_equal(text_of(errand, "method"), "STATUS")) {
    outcome = gtm_http_outcome(&response);
    gtm_text after = gtm_number((int64_t)outcome.after);
    outcome.why = gtm_join(2, (gtm_text[]){gtm_text_of(outcome.what == GTM_RETRY ? "retry " : "reject "), after});
  }
  if (outcome.what == GTM_DONE)
    *result = gtm_join(3, (gtm_text[]){gtm_number(response.status), gtm_text_of(" "), response.body});
  return outcome;
}

static gtm_outcome with_mongodb(errand errand, gtm_text what, gtm_text *result, bool *known) {
  gtm_text namespace_ = text_of(errand, "ns");
  gtm_document filter = document_of(errand, "filter"), document = document_of(errand, "document");
  gtm_documents found;
  gtm_update_result updated;
  gtm_outcome outcome;
  if (gtm_equal(what, "find")) {
    gtm_document sort = document_of(errand, "sort");
    outcome = gtm_mongodb_find(namespace_, filter, &(gtm_find_options){.sort = &sort}, &found);
    if (outcome.what == GTM_DONE) *result = list_of(found);
    return outcome;
  }
  if (gtm_equal(what, "aggregate")) {
    gtm_document stages[10];
    size_t count = 0, at = 0;
    gtm_element element;
    while (count < 10 && gtm_next(document_of(errand, "pipeline"), &at, &element))
      stages[count++] = (gtm_document){element.value, element.length};
    outcome = gtm_mongodb_aggregate(namespace_, stages, count, &found);
    if (outcome.what == GTM_DONE) *result = list_of(found);
    return outcome;
  }
  if (gtm_equal(what, "insert")) {
    *result = gtm_text_of("inserted");
    outcome = gtm_mongodb_insert(namespace_, &document, 1);
    if (outcome.error == GTM_CONFLICT) outcome.why = gtm_join(2, (gtm_text[]){gtm_text_of("conflict: "), outcome.why});
    return outcome;
  }
  if (gtm_equal(what, "update"))
    outcome = gtm_mongodb_update(namespace_, filter, document_of(errand, "update"), (gtm_update_options){.upsert = true}, &updated);
  else if (gtm_equal(what, "replace"))
    outcome = gtm_mongodb_replace(namespace_, filter, document, true, &updated);
  else {
    uint64_t deleted;
    *known = gtm_equal(what, "delete");
    if (!*known) return gtm_done();
    outcome = gtm_mongodb_delete(namespace_, filter, true, &deleted);
    if (outcome.what == GTM_DONE) *result = gtm_number((int64_t)deleted);
    return outcome;
  }
  if (outcome.what == GTM_DONE) {
    gtm_text upserted = updated.has_upserted_id ? json_of(updated.upserted_id) : gtm_text_of("");
    gtm_text matched = gtm_number((int64_t)updated.matched_count), modified = gtm_number((int64_t)updated.modified_count);
    *result = gtm_join(5, (gtm_text[]){matched, gtm_text_of(" "), modified, gtm_text_of(" "), upserted});
  }
  return outcome;
}

static gtm_outcome with_state(errand errand, gtm_text what, gtm_text *result, bool *known) {
  gtm_text key = text_of(errand, "key"), value = text_of(errand, "value");
  bool is;
  gtm_outcome outcome;
  if (gtm_equal(what, "get")) {
    outcome = gtm_state_get(key, result, &is);
    return outcome.what == GTM_DONE && !is ? said("nothing", result) : outcome;
  }
  if (gtm_equal(what, "set")) {
    outcome = gtm_state_set(key, value, 0);
    return outcome.what == GTM_DONE ? said("set", result) : outcome;
  }
  if (gtm_equal(what, "forget")) {
    outcome = gtm_state_delete(key);
    return outcome.what == GTM_DONE ? said("forgotten", result) : outcome;
  }
  int64_t number = 0;
  if (gtm_equal(what, "add")) {
    gtm_get_int64(errand.document, "by", &number);
    outcome = gtm_state_increment(key, number, 60000, &number);
    if (outcome.what == GTM_DONE) *result = gtm_number(number);
    return outcome;
  }
  if (gtm_equal(what, "list")) {
    gtm_state_entries found;
    outcome = gtm_state_list(key, NULL, 10, &found);
    *result = gtm_text_of("");
    for (size_t at = 0; outcome.what == GTM_DONE && at < found.count; at++) {
      gtm_state_entry entry = found.entries[at];
      gtm_text ends = gtm_text_of(entry.time_to_live > 0 ? "+" : "");
      *result = gtm_join(6, (gtm_text[]){*result, entry.key, gtm_text_of("="), entry.value, ends, gtm_text_of(" ")});
    }
    return outcome;
  }
  if (gtm_equal(what, "quota")) {
    gtm_state_quota quota;
    outcome = gtm_state_get_quota(&quota);
    if (outcome.what == GTM_DONE) *result = gtm_number((int64_t)quota.keys);
    return outcome;
  }
  *known = gtm_equal(what, "swap");
  if (!*known) return gtm_done();
  gtm_text expected;
  bool has_expected = gtm_get_text(errand.document, "expected", &expected);
  outcome = gtm_state_compare_and_swap(key, has_expected ? &expected : NULL, value, 0, &is);
  return outcome.what == GTM_DONE ? said(is ? "true" : "false", result) : outcome;
}

static gtm_outcome run(errand errand, gtm_text *result) {
  gtm_text what = text_of(errand, "do");
  if (gtm_equal(what, "http")) return http(errand, result);
  if (gtm_equal(what, "mail")) return gtm_mail(text_of(errand, "to"), gtm_text_of("an errand"), gtm_text_of("done"));
  if (gtm_equal(what, "count")) {
    gtm_count("errands", 1);
    gtm_gauge("level", 0.5);
    gtm_record("seconds", 0.01);
    return said("counted", result);
  }
  if (gtm_equal(what, "json")) {
    gtm_document document = document_of(errand, "document");
    gtm_text canonical;
    gtm_to_json(document, &canonical);
    *result = gtm_join(3, (gtm_text[]){json_of(document), gtm_text_of(" "), canonical});
    return gtm_done();
  }
  // A string of BSON ends with a zero byte.
  if (gtm_equal(what, "config"))
    return gtm_config((const char *)text_of(errand, "key").ptr, result) ? gtm_done() : said("nothing", result);
  if (gtm_equal(what, "encode")) {
    // Through JSON and back.
    gtm_text text = text_of(errand, "text");
    gtm_document document;
    gtm_outcome outcome = gtm_from_json(gtm_join(3, (gtm_text[]){gtm_text_of("{\"text\":"), gtm_quote(text), gtm_text_of("}")}), &document);
    if (outcome.what == GTM_DONE) gtm_get_text(document, "text", result);
    return outcome;
  }
  bool known = true;
  gtm_outcome outcome = with_mongodb(errand, what, result, &known);
  if (known) return outcome;
  known = true;
  outcome = with_state(errand, what, result, &known);
  return known ? outcome : gtm_reject(gtm_join(2, (gtm_text[]){what, gtm_text_of(" is no errand")}));
}

static void report(errand errand) {
  gtm_text result = gtm_text_of("");
  gtm_outcome outcome = run(errand, &result);
  int64_t number = 0;
  gtm_get_int64(errand.document, "_id", &number);
  bool done = outcome.what == GTM_DONE;
  gtm_log_info(gtm_join(3, (gtm_text[]){gtm_number(number), gtm_text_of(done ? " ok " : " error "), done ? result : outcome.why}));
}

// An error of the contract, as the outcome that the SDK makes of it.
static gtm_outcome failed(errand errand) {
  int64_t kind = 0;
  gtm_get_int64(errand.document, "kind", &kind);
  gtm_plugin_types_error_t error = {.tag = (uint8_t)kind};
  gtm_string_dup(&error.val.invalid, "it fails");
  return gtm_outcome_of(&error);
}

static void log_change_events(const gtm_op *op) {
  for (int canonical = 0; canonical < 2; canonical++) {
    gtm_text json;
    gtm_to_change_event(op, canonical, &json);
    gtm_log_info(json);
  }
}

static gtm_outcome init(gtm_subscriber *subscriber) {
  gtm_text key;
  if (gtm_config("key", &key) && gtm_equal(key, "refused")) return gtm_reject(gtm_text_of("key must not be refused, ü"));
  gtm_config("database", &database);
  gtm_subscribe(subscriber, "*.errands", GTM_BIT(GTM_INSERT));
  return gtm_done();
}

static bool is_own(const gtm_op *op) {
  errand errand = {.op = op};
  bool in_filter = false;
  if (!gtm_full_document(op, &errand.document)) return false;
  gtm_get_bool(errand.document, "in_filter", &in_filter);
  if (in_filter) report(errand);
  return !in_filter && (database.len == 0 || (op->database.len == database.len && __builtin_memcmp(op->database.ptr, database.ptr, database.len) == 0));
}

static void run_all(const gtm_op *ops, size_t count, gtm_outcome *outcomes) {
  for (size_t op = 0; op < count; op++) {
    errand errand = {.op = &ops[op]};
    if (gtm_equal(ops[op].database, "shop")) {
      log_change_events(&ops[op]);
      continue;
    }
    if (!gtm_full_document(&ops[op], &errand.document)) {
      outcomes[op] = gtm_reject(gtm_text_of("the document cannot be decoded"));
      continue;
    }
    gtm_text what = text_of(errand, "do");
    if (gtm_equal(what, "reject")) outcomes[op] = gtm_reject(gtm_text_of("rejected, ü"));
    else if (gtm_equal(what, "later")) outcomes[op] = gtm_retry_after(7000, gtm_text_of("later, ü"));
    else if (gtm_equal(what, "error")) outcomes[op] = failed(errand);
    else if (gtm_equal(what, "again")) outcomes[op] = gtm_retry(gtm_text_of("again, ü"));
    else report(errand);
  }
}

static void timers(gtm_timers *all) {
  gtm_text level;
  bool is_high = gtm_config("level", &level) && gtm_equal(level, "high");
  gtm_add_timer(all, "chime", gtm_text_of(is_high ? "1h" : "0 6 * * *"), GTM_EACH_MISSED);
}

static gtm_outcome tick(const gtm_tick *due) {
  if (!gtm_equal(due->timer, "chime")) return gtm_reject(gtm_join(2, (gtm_text[]){gtm_text_of("no timer "), due->timer}));
  gtm_text level = {0}, space = gtm_text_of(" ");
  gtm_config("level", &level);
  gtm_log_info(gtm_join(9, (gtm_text[]){
    due->timer, space, gtm_number((int64_t)due->at), space, due->id, space, gtm_number(due->attempt), space, level,
  }));
  return due->attempt == 2 ? gtm_retry_after(1500, gtm_text_of("later")) : gtm_done();
}

GTM_LIFECYCLE(SETTINGS, init);
GTM_FILTER(is_own);
GTM_BATCH_HANDLER(run_all);
GTM_SCHEDULE(timers, tick);
