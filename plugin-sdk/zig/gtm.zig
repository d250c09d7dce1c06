//! Write gtm-host plugins in Zig: the functions of gtm_plugin.h with slices and optionals.
//!
//! A plugin's root file says `comptime { gtm.plugin(@This()); }`. The plugin exports only what this file declares:
//!
//!     pub const settings = [_]gtm.Setting{ … };
//!     pub fn init(subscriber: gtm.Subscriber) gtm.Outcome
//!     pub fn filter(op: gtm.Op) bool
//!     pub fn handle(op: gtm.Op) gtm.Outcome
//!     pub fn handleBatch(ops: gtm.Batch) void
//!     pub fn timers(all: gtm.Timers) void
//!     pub fn tick(due: gtm.Tick) gtm.Outcome
//!
//! Memory: what these functions are passed, and what the functions here return, lasts until they return, and in `init` as long as
//! the instance. The SDK frees it then. What a plugin passes to a function stays its own.

const std = @import("std");
/// gtm_plugin.h, with the whole contract.
pub const c = @import("c");

pub const Text = []const u8;

/// Exports what `Plugin` declares: `settings`, `init`, `filter`, `handle` or `handleBatch`, and `timers` with `tick`. A plugin with timers and
/// without a handler gets no ops.
pub fn plugin(comptime Plugin: type) void {
    const has_settings = @hasDecl(Plugin, "settings");
    const has_init = @hasDecl(Plugin, "init");
    const exported = struct {
        const table = if (has_settings) settingsOf(&Plugin.settings) else {};

        fn settings() callconv(.c) ?*anyopaque {
            return c.gtm_call_settings(if (has_settings) &table else null);
        }
        fn ownInit(subscriber: ?*c.gtm_subscriber) callconv(.c) c.gtm_outcome {
            return Plugin.init(.{ .contract = subscriber.? });
        }
        fn init() callconv(.c) ?*anyopaque {
            return c.gtm_call_init(if (has_init) &ownInit else null);
        }
        fn ownFilter(op: [*c]const c.gtm_op) callconv(.c) bool {
            return Plugin.filter(.{ .contract = op });
        }
        fn filter(op: *c.gtm_op) callconv(.c) i32 {
            return c.gtm_call_filter(&ownFilter, op);
        }
        fn filterBatch(ops: [*c]c.gtm_op, count: usize) callconv(.c) ?*anyopaque {
            return c.gtm_call_batch_filter(&ownFilter, ops, count);
        }
        fn ownHandle(op: [*c]const c.gtm_op) callconv(.c) c.gtm_outcome {
            return Plugin.handle(.{ .contract = op });
        }
        fn handle(op: *c.gtm_op) callconv(.c) ?*anyopaque {
            return c.gtm_call_handler(&ownHandle, op);
        }
        fn ownBatch(ops: [*c]const c.gtm_op, count: usize, outcomes: [*c]c.gtm_outcome) callconv(.c) void {
            Plugin.handleBatch(.{ .ops = ops[0..count], .outcomes = outcomes[0..count] });
        }
        fn handleBatch(ops: [*c]c.gtm_op, count: usize) callconv(.c) ?*anyopaque {
            return c.gtm_call_batch_handler(&ownBatch, ops, count);
        }
        fn ownTimers(all: ?*c.gtm_timers) callconv(.c) void {
            Plugin.timers(.{ .contract = all.? });
        }
        fn timers() callconv(.c) ?*anyopaque {
            return c.gtm_call_timers(&ownTimers);
        }
        fn ownTick(due: [*c]const c.gtm_tick) callconv(.c) c.gtm_outcome {
            return Plugin.tick(.{ .timer = view(due.*.timer), .at = due.*.at, .id = view(due.*.id), .attempt = due.*.attempt });
        }
        fn tick(timer: [*c]u8, timer_length: usize, at: u64, id: [*c]u8, id_length: usize, attempt: u32) callconv(.c) ?*anyopaque {
            const due: c.gtm_tick = .{
                .timer = .{ .ptr = timer, .len = timer_length },
                .at = at,
                .id = .{ .ptr = id, .len = id_length },
                .attempt = attempt,
            };
            return c.gtm_call_tick(&ownTick, &due);
        }
    };
    if (has_settings or has_init) {
        @export(&exported.settings, .{ .name = "gtm:plugin/lifecycle@0.2.0#settings" });
        @export(&exported.init, .{ .name = "gtm:plugin/lifecycle@0.2.0#init" });
    }
    if (@hasDecl(Plugin, "filter")) {
        @export(&exported.filter, .{ .name = "gtm:plugin/filter@0.2.0#filter" });
        // The host may ask about several ops per call, which is faster.
        @export(&exported.filterBatch, .{ .name = "gtm:plugin/batch-filter@0.2.0#filter" });
    }
    if (@hasDecl(Plugin, "handle")) @export(&exported.handle, .{ .name = "gtm:plugin/handler@0.2.0#handle" });
    if (@hasDecl(Plugin, "handleBatch")) {
        @export(&exported.handleBatch, .{ .name = "gtm:plugin/batch-handler@0.2.0#handle" });
    }
    if (@hasDecl(Plugin, "timers")) {
        @export(&exported.timers, .{ .name = "gtm:plugin/schedule@0.2.0#timers" });
        @export(&exported.tick, .{ .name = "gtm:plugin/schedule@0.2.0#tick" });
    }
}

/// The type of the value of a setting.
pub const SettingType = enum {
    text,
    integer,
    number,
    boolean,
    /// The user writes `10s`. The plugin gets milliseconds.
    duration,
    /// The user writes `1 MiB`. The plugin gets bytes.
    size,
    /// Texts, separated by commas: see `configTexts`.
    texts,
    /// One of `choices`.
    choice,
};

/// A setting that the plugin declares. Without `settings`, it accepts any.
pub const Setting = struct {
    name: [:0]const u8,
    setting_type: SettingType = .text,
    /// What it does, in one or two sentences.
    doc: [:0]const u8,
    /// The value if the user sets none, as the user would write it.
    default: ?[:0]const u8 = null,
    /// The plugin does not start without it.
    required: bool = false,
    /// The host keeps its value out of logs, errors and lists.
    secret: bool = false,
    /// For `.choice`: the texts.
    choices: []const [:0]const u8 = &.{},
    /// Names that it had before, which still work.
    former_names: []const [:0]const u8 = &.{},
};

/// The settings as a table of gtm_plugin.h, which ends with an empty one.
fn settingsOf(comptime settings: []const Setting) [settings.len + 1]c.gtm_setting {
    var table: [settings.len + 1]c.gtm_setting = @splat(std.mem.zeroes(c.gtm_setting));
    for (settings, 0..) |setting, at| {
        table[at] = .{
            .name = setting.name.ptr,
            .type = @backingInt(setting.setting_type),
            .doc = setting.doc.ptr,
            .default_value = if (setting.default) |default| default.ptr else null,
            .required = setting.required,
            .secret = setting.secret,
            .choices = stringsOf(setting.choices),
            .former_names = stringsOf(setting.former_names),
        };
    }
    return table;
}

fn stringsOf(comptime texts: []const [:0]const u8) [*c]const [*c]const u8 {
    comptime var strings: [texts.len + 1][*c]const u8 = @splat(null);
    inline for (texts, 0..) |text, at| strings[at] = text.ptr;
    const constant = strings;
    return &constant;
}

/// Collects the subscriptions of a plugin, in `init`.
pub const Subscriber = struct {
    contract: *c.gtm_subscriber,

    /// Subscribes to changes in a namespace like `users.*`, of these kinds: `&.{gtm.c.GTM_INSERT}`. Empty: all kinds.
    pub fn subscribe(subscriber: Subscriber, namespace: [:0]const u8, kinds: []const u5) void {
        var bits: u32 = 0;
        for (kinds) |kind| bits |= @as(u32, 1) << kind;
        c.gtm_subscribe(subscriber.contract, namespace.ptr, bits);
    }
};

/// What the host does with ticks that it could not deliver at their time: it leaves them out, delivers the last of them, or each of them.
pub const MissedTicks = enum { skip, once, each };

/// Collects the timers of a plugin, in `timers`, which runs after `init`.
pub const Timers = struct {
    contract: *c.gtm_timers,

    /// Adds a timer. The schedule is in UTC: an interval such as `10m`, or a cron expression. Both texts are copied.
    pub fn add(timers: Timers, name: [:0]const u8, schedule: Text, missed: MissedTicks) void {
        c.gtm_add_timer(timers.contract, name.ptr, lend(schedule), @backingInt(missed));
    }
};

/// One time at which a timer is due.
pub const Tick = struct {
    /// The name of the timer.
    timer: Text,
    /// The time at which it is due, in milliseconds since 1970-01-01 UTC.
    at: u64,
    /// The same each time this tick is delivered, by any host: an idempotency key.
    id: Text,
    /// The number of the attempt: 1, then 2, 3, …
    attempt: u32,
};

/// The outcome of an op, or of one use of a capability. A handler may return the outcome of a capability as its own. Its field `@"error"` is
/// the kind of the error, such as `gtm.c.GTM_CONFLICT`, if it comes from a capability.
pub const Outcome = c.gtm_outcome;

pub fn done() Outcome {
    return c.gtm_done();
}

/// It may work later: the host retries the op after a pause. `why` is not copied.
pub fn retry(why: Text) Outcome {
    return c.gtm_retry(lend(why));
}

/// It may work after this time, as a server said (`Retry-After`). `why` is not copied.
pub fn retryAfter(milliseconds: u64, why: Text) Outcome {
    return c.gtm_retry_after(milliseconds, lend(why));
}

/// It will never work: the host keeps the op among the dead letters. `why` is not copied.
pub fn reject(why: Text) Outcome {
    return c.gtm_reject(lend(why));
}

/// Returns whether an outcome is that all is done.
pub fn isDone(outcome: Outcome) bool {
    return outcome.what == c.GTM_DONE;
}

/// Returns why an outcome is not done.
pub fn reason(outcome: Outcome) Text {
    return view(outcome.why);
}

/// One change.
pub const Op = struct {
    /// The op as gtm.h has it, with all fields.
    contract: *const c.gtm_op,

    pub fn isInsert(op: Op) bool {
        return op.contract.operation_type == c.GTM_INSERT;
    }
    pub fn isUpdate(op: Op) bool {
        return op.contract.operation_type == c.GTM_UPDATE;
    }
    pub fn isReplace(op: Op) bool {
        return op.contract.operation_type == c.GTM_REPLACE;
    }
    pub fn isDelete(op: Op) bool {
        return op.contract.operation_type == c.GTM_DELETE;
    }
    pub fn id(op: Op) Text {
        return view(op.contract.id);
    }
    pub fn database(op: Op) Text {
        return view(op.contract.database);
    }
    pub fn collection(op: Op) Text {
        return view(op.contract.collection);
    }
    /// The document after the change. Null: there is none, or it is not BSON.
    pub fn document(op: Op) ?Document {
        return Document.read(&op.contract.full_document);
    }
    pub fn documentKey(op: Op) ?Document {
        return Document.read(&op.contract.document_key);
    }
    pub fn updateDescription(op: Op) ?Document {
        return Document.read(&op.contract.update_description);
    }
    /// Converts it into one line of relaxed Extended JSON with the names of MongoDB's change events, as `gtm-host tail` prints it. Null: a
    /// document of the op is not BSON, or too large.
    pub fn toChangeEvent(op: Op) ?Text {
        var value: c.gtm_text = undefined;
        return if (c.gtm_to_change_event(op.contract, false, &value)) view(value) else null;
    }
    /// Returns the same with the type of each value.
    pub fn toCanonicalChangeEvent(op: Op) ?Text {
        var value: c.gtm_text = undefined;
        return if (c.gtm_to_change_event(op.contract, true, &value)) view(value) else null;
    }
};

/// The ops of a batch, in order, and their outcomes, each of which is `done()` at first.
pub const Batch = struct {
    ops: []const c.gtm_op,
    outcomes: []Outcome,

    pub fn get(batch: Batch, at: usize) Op {
        return .{ .contract = &batch.ops[at] };
    }
};

/// A BSON document that was checked.
pub const Document = struct {
    bytes: c.gtm_document,

    /// An empty document, as a filter that matches every document.
    pub const empty = Document{ .bytes = .{ .bytes = &[_]u8{ 5, 0, 0, 0, 0 }, .length = 5 } };

    pub fn read(bson: *const c.gtm_plugin_types_option_bson_t) ?Document {
        var bytes: c.gtm_document = undefined;
        return if (c.gtm_read(bson, &bytes)) .{ .bytes = bytes } else null;
    }
    /// Reads the document in these bytes, without a copy. Null: they are not BSON.
    pub fn fromBytes(bson: []const u8) ?Document {
        var bytes: c.gtm_document = undefined;
        return if (c.gtm_document_of(bson.ptr, bson.len, &bytes)) .{ .bytes = bytes } else null;
    }
    /// Converts Extended JSON. Put texts into it with `quote`. Null: it is not valid.
    pub fn fromJson(text_of_json: Text) ?Document {
        var bytes: c.gtm_document = undefined;
        return if (isDone(c.gtm_from_json(lend(text_of_json), &bytes))) .{ .bytes = bytes } else null;
    }
    pub fn text(document: Document, name: [:0]const u8) ?Text {
        return if (get(c.gtm_text, c.gtm_get_text, document, name)) |value| view(value) else null;
    }
    pub fn boolean(document: Document, name: [:0]const u8) ?bool {
        return get(bool, c.gtm_get_bool, document, name);
    }
    /// From an int32, too.
    pub fn int64(document: Document, name: [:0]const u8) ?i64 {
        return get(i64, c.gtm_get_int64, document, name);
    }
    /// From an int32 or int64, too.
    pub fn number(document: Document, name: [:0]const u8) ?f64 {
        return get(f64, c.gtm_get_double, document, name);
    }
    /// In milliseconds since 1970-01-01 UTC.
    pub fn date(document: Document, name: [:0]const u8) ?i64 {
        return get(i64, c.gtm_get_date, document, name);
    }
    /// A document or an array, whose elements are named 0, 1, ….
    pub fn nested(document: Document, name: [:0]const u8) ?Document {
        return if (get(c.gtm_document, c.gtm_get_document, document, name)) |bytes| .{ .bytes = bytes } else null;
    }
    /// Finds the next element, in order: begins if `at` is 0. Null: there are no more.
    pub fn next(document: Document, at: *usize) ?Element {
        var element: c.gtm_element = undefined;
        if (!c.gtm_next(document.bytes, at, &element)) return null;
        return .{ .name = view(element.name), .type = element.type, .value = element.value[0..element.length] };
    }
    /// Returns why a getter has no value, for `reject`: `email: expected a string, found an object`.
    pub fn mismatch(document: Document, name: [:0]const u8, expected: [:0]const u8) Text {
        return view(c.gtm_mismatch(document.bytes, name, expected));
    }
    /// Converts it into canonical Extended JSON. Null: the host cannot convert it.
    pub fn json(document: Document) ?Text {
        var value: c.gtm_text = undefined;
        return if (c.gtm_to_json(document.bytes, &value)) view(value) else null;
    }
    /// Converts it into relaxed Extended JSON, which has types only where JSON has none. Null: the host cannot convert it.
    pub fn relaxedJson(document: Document) ?Text {
        var value: c.gtm_text = undefined;
        return if (c.gtm_to_relaxed_json(document.bytes, &value)) view(value) else null;
    }
};

/// An element of a document: its name, its type as BSON's specification numbers it, and the bytes of its value.
pub const Element = struct {
    name: Text,
    type: c.gtm_type,
    value: []const u8,
};

pub const log = struct {
    pub fn trace(message: Text) void {
        c.gtm_log_trace(lend(message));
    }
    pub fn debug(message: Text) void {
        c.gtm_log_debug(lend(message));
    }
    pub fn info(message: Text) void {
        c.gtm_log_info(lend(message));
    }
    pub fn warn(message: Text) void {
        c.gtm_log_warn(lend(message));
    }
    pub fn err(message: Text) void {
        c.gtm_log_error(lend(message));
    }
};

/// Returns the value of a setting. Null: it has no value.
pub fn config(name: [:0]const u8) ?Text {
    var value: c.gtm_text = undefined;
    return if (c.gtm_config(name, &value)) view(value) else null;
}

/// Returns the value of an integer, a duration (milliseconds) or a size (bytes).
pub fn configInt64(name: [:0]const u8) ?i64 {
    var value: i64 = undefined;
    return if (c.gtm_config_int64(name, &value)) value else null;
}

pub fn configBool(name: [:0]const u8) ?bool {
    var value: bool = undefined;
    return if (c.gtm_config_bool(name, &value)) value else null;
}

/// Finds the next of the texts of a setting of the type `.texts`: begins if `at` is 0. Null: there are no more.
pub fn nextText(texts: Text, at: *usize) ?Text {
    var text: c.gtm_text = undefined;
    return if (c.gtm_next_text(lend(texts), at, &text)) view(text) else null;
}

/// The plugin's own metrics.
pub const metrics = struct {
    pub fn count(name: [:0]const u8, by: u64) void {
        c.gtm_count(name, by);
    }
    pub fn gauge(name: [:0]const u8, value: f64) void {
        c.gtm_gauge(name, value);
    }
    pub fn record(name: [:0]const u8, value: f64) void {
        c.gtm_record(name, value);
    }
};

/// Sends a mail in plain text.
pub fn mail(to: Text, subject: Text, text: Text) Outcome {
    return c.gtm_mail(lend(to), lend(subject), lend(text));
}

pub const http = struct {
    /// `name` and `value`. See `header`.
    pub const Header = c.gtm_http_header;
    pub const Request = struct {
        method: [:0]const u8 = "GET",
        url: Text,
        headers: []const Header = &.{},
        body: ?Text = null,
        /// The time to wait for an answer, in milliseconds. 0: the host's own limit.
        timeout: u32 = 0,
    };
    pub const Response = struct {
        status: u16 = 0,
        /// The names are in lowercase.
        headers: []const Header = &.{},
        body: Text = "",
    };

    pub fn header(name: Text, value: Text) Header {
        return .{ .name = lend(name), .value = lend(value) };
    }
    /// Returns the header `Idempotency-Key` with the id of the op, which is the same each time the op is delivered.
    pub fn idempotencyKey(op: Op) Header {
        return c.gtm_idempotency_key(op.contract);
    }
    /// Returns the outcome for the status of a response: done for 2xx; a retry for a status that may pass (408, 425, 429, 5xx), after the
    /// seconds in the header `Retry-After` if it has them; otherwise a rejection.
    pub fn outcomeOf(response: Response) Outcome {
        const lent = c.gtm_http_response{
            .status = response.status,
            .headers = response.headers.ptr,
            .header_count = response.headers.len,
            .body = lend(response.body),
        };
        return c.gtm_http_outcome(&lent);
    }
    /// Sends a request. The outcome is done for any status, such as 404: see `outcomeOf`.
    pub fn send(request: Request, response: *Response) Outcome {
        const body = lend(request.body orelse "");
        const lent = c.gtm_http_request{
            .method = request.method.ptr,
            .url = lend(request.url),
            .headers = request.headers.ptr,
            .header_count = request.headers.len,
            .body = if (request.body != null) &body else null,
            .timeout = request.timeout,
        };
        var received: c.gtm_http_response = undefined;
        const outcome = c.gtm_http(&lent, &received);
        if (isDone(outcome)) response.* = .{
            .status = received.status,
            .headers = received.headers[0..received.header_count],
            .body = view(received.body),
        };
        return outcome;
    }
};

/// Reads and writes on the cluster. A namespace is `database.collection`.
pub const mongodb = struct {
    pub const FindOptions = struct {
        projection: ?Document = null,
        sort: ?Document = null,
        skip: u64 = 0,
        /// 0: 10,000.
        limit: u32 = 0,
    };
    /// `many`, and `upsert`.
    pub const UpdateOptions = c.gtm_update_options;
    pub const UpdateResult = struct {
        matched_count: u64 = 0,
        modified_count: u64 = 0,
        /// `{_id}` of the inserted document.
        upserted_id: ?Document = null,
    };

    pub fn find(namespace: Text, filter: Document, options: FindOptions, found: *[]const Document) Outcome {
        const lent = c.gtm_find_options{
            .projection = if (options.projection) |*projection| &projection.bytes else null,
            .sort = if (options.sort) |*sort| &sort.bytes else null,
            .skip = options.skip,
            .limit = options.limit,
        };
        var documents: c.gtm_documents = undefined;
        return list(c.gtm_mongodb_find(lend(namespace), filter.bytes, &lent, &documents), &documents, found);
    }
    pub fn aggregate(namespace: Text, stages: []const Document, found: *[]const Document) Outcome {
        var documents: c.gtm_documents = undefined;
        return list(c.gtm_mongodb_aggregate(lend(namespace), lentList(stages), stages.len, &documents), &documents, found);
    }
    /// Inserts at most 1,000 documents, in order. The error is `GTM_CONFLICT` if a document with its key exists.
    pub fn insert(namespace: Text, documents: []const Document) Outcome {
        return c.gtm_mongodb_insert(lend(namespace), lentList(documents), documents.len);
    }
    pub fn update(namespace: Text, filter: Document, change: Document, options: UpdateOptions, result: *UpdateResult) Outcome {
        var updated: c.gtm_update_result = undefined;
        return write(c.gtm_mongodb_update(lend(namespace), filter.bytes, change.bytes, options, &updated), &updated, result);
    }
    pub fn replace(namespace: Text, filter: Document, replacement: Document, upsert: bool, result: *UpdateResult) Outcome {
        var replaced: c.gtm_update_result = undefined;
        return write(c.gtm_mongodb_replace(lend(namespace), filter.bytes, replacement.bytes, upsert, &replaced), &replaced, result);
    }
    pub fn delete(namespace: Text, filter: Document, many: bool, deleted_count: *u64) Outcome {
        return c.gtm_mongodb_delete(lend(namespace), filter.bytes, many, deleted_count);
    }

    fn lentList(documents: []const Document) [*c]const c.gtm_document {
        // A Document has the layout of its only field.
        comptime std.debug.assert(@sizeOf(Document) == @sizeOf(c.gtm_document));
        return @ptrCast(documents.ptr);
    }
    fn list(outcome: Outcome, documents: *const c.gtm_documents, found: *[]const Document) Outcome {
        if (isDone(outcome)) {
            const first: [*]const Document = @ptrCast(documents.documents);
            found.* = first[0..documents.count];
        }
        return outcome;
    }
    fn write(outcome: Outcome, from: *const c.gtm_update_result, result: *UpdateResult) Outcome {
        if (isDone(outcome)) result.* = .{
            .matched_count = from.matched_count,
            .modified_count = from.modified_count,
            .upserted_id = if (from.has_upserted_id) .{ .bytes = from.upserted_id } else null,
        };
        return outcome;
    }
};

/// Values by key, for all instances of the plugin.
pub const state = struct {
    /// Null in `value`: the key has no value.
    pub fn get(key: Text, value: *?Text) Outcome {
        var found: c.gtm_text = undefined;
        var is_set: bool = undefined;
        const outcome = c.gtm_state_get(lend(key), &found, &is_set);
        if (isDone(outcome)) value.* = if (is_set) view(found) else null;
        return outcome;
    }
    /// The store forgets the value after `time_to_live` milliseconds. 0: it keeps the value.
    pub fn set(key: Text, value: Text, time_to_live: u64) Outcome {
        return c.gtm_state_set(lend(key), lend(value), time_to_live);
    }
    pub fn delete(key: Text) Outcome {
        return c.gtm_state_delete(lend(key));
    }
    /// Sets the value if the current one is `expected` (null: if the key has none), in one step. `swapped` is whether it did.
    pub fn compareAndSwap(key: Text, expected: ?Text, value: Text, time_to_live: u64, swapped: *bool) Outcome {
        const before = lend(expected orelse "");
        return c.gtm_state_compare_and_swap(lend(key), if (expected != null) &before else null, lend(value), time_to_live, swapped);
    }
    /// Adds to a number, in one step. A key without a value counts as 0. With 0 as `time_to_live`, the value keeps the one that it has.
    pub fn increment(key: Text, by: i64, time_to_live: u64, sum: *i64) Outcome {
        return c.gtm_state_increment(lend(key), by, time_to_live, sum);
    }
    /// `key`, `value` and `time_to_live` (0: the store keeps the value). See `view`.
    pub const Entry = c.gtm_state_entry;
    /// Returns the entries whose keys begin with `prefix`, in order: at most `limit`, 1,000 and 1 MiB. For the next page, pass the last key as
    /// `after`.
    pub fn list(prefix: Text, after: ?Text, limit: u32, entries: *[]const Entry) Outcome {
        const last = lend(after orelse "");
        var found: c.gtm_state_entries = undefined;
        const outcome = c.gtm_state_list(lend(prefix), if (after != null) &last else null, limit, &found);
        if (isDone(outcome)) entries.* = found.entries[0..found.count];
        return outcome;
    }
    pub const Quota = c.gtm_state_quota;
    pub fn getQuota(quota: *Quota) Outcome {
        return c.gtm_state_get_quota(quota);
    }
};

/// Returns a new text of these parts.
pub fn join(parts: []const Text) Text {
    var length: usize = 0;
    for (parts) |part| length += part.len;
    const memory: [*]u8 = @ptrCast(c.gtm_alloc(length).?);
    var end: usize = 0;
    for (parts) |part| {
        @memcpy(memory[end..][0..part.len], part);
        end += part.len;
    }
    return memory[0..length];
}

/// Returns a number as a new decimal text.
pub fn decimal(number: i64) Text {
    return view(c.gtm_number(number));
}

/// Returns a text as a new JSON string with its quotes, for `Document.fromJson`.
pub fn quote(text: Text) Text {
    return view(c.gtm_quote(lend(text)));
}

fn get(comptime Value: type, getter: anytype, document: Document, name: [:0]const u8) ?Value {
    var value: Value = undefined;
    return if (getter(document.bytes, name, &value)) value else null;
}

/// Returns a text as gtm_plugin.h has it, without a copy.
pub fn lend(text: Text) c.gtm_text {
    return .{ .ptr = @constCast(text.ptr), .len = text.len };
}

/// Returns a text of gtm_plugin.h as a slice, without a copy.
pub fn view(text: c.gtm_text) Text {
    return text.ptr[0..text.len];
}
