//! Write gtm-host plugins in Zig: the functions of gtm_plugin.h with slices and optionals.
//!
//! A plugin's root file has `filter` and `handle`, and says `comptime { gtm.plugin(@This()); }`.
//! What they are given, and what comes from here, lasts until they return: nothing need be freed.

const std = @import("std");
/// gtm_plugin.h, with the whole contract.
pub const c = @import("c");

pub const Text = []const u8;

/// Exports `filter(op: Op) bool` and `handle(op: Op) Outcome`.
pub fn plugin(comptime Plugin: type) void {
    const exported = struct {
        fn filter(op: *const c.gtm_op) callconv(.c) bool {
            return Plugin.filter(.{ .contract = op });
        }
        fn handle(op: *const c.gtm_op) callconv(.c) c.gtm_outcome {
            return Plugin.handle(.{ .contract = op });
        }
    };
    @export(&exported.filter, .{ .name = "filter" });
    @export(&exported.handle, .{ .name = "handle" });
}

/// What became of an op.
pub const Outcome = c.gtm_outcome;

pub fn done() Outcome {
    return c.gtm_done();
}

/// It may work later: the host tries again after a pause.
pub fn retry(why: Text) Outcome {
    return c.gtm_retry(lend(why));
}

/// It will never work: the host keeps the op among the dead letters.
pub fn reject(why: Text) Outcome {
    return c.gtm_reject(lend(why));
}

/// One change.
pub const Op = struct {
    /// All of it, as the contract has it.
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
    /// The document after the change. Null: there is none, or it is no BSON.
    pub fn document(op: Op) ?Document {
        return Document.read(&op.contract.full_document);
    }
    pub fn documentKey(op: Op) ?Document {
        return Document.read(&op.contract.document_key);
    }
    pub fn updateDescription(op: Op) ?Document {
        return Document.read(&op.contract.update_description);
    }
};

/// A BSON document that was looked through.
pub const Document = struct {
    bytes: c.gtm_document,

    pub fn read(bson: *const c.gtm_plugin_types_option_bson_t) ?Document {
        var bytes: c.gtm_document = undefined;
        return if (c.gtm_read(bson, &bytes)) .{ .bytes = bytes } else null;
    }
    pub fn text(document: Document, name: [:0]const u8) ?Text {
        return if (get(c.gtm_text, c.gtm_get_text, document, name)) |value| view(value) else null;
    }
    pub fn boolean(document: Document, name: [:0]const u8) ?bool {
        return get(bool, c.gtm_get_bool, document, name);
    }
    /// Of int32 too.
    pub fn int64(document: Document, name: [:0]const u8) ?i64 {
        return get(i64, c.gtm_get_int64, document, name);
    }
    /// Of int32 and int64 too.
    pub fn number(document: Document, name: [:0]const u8) ?f64 {
        return get(f64, c.gtm_get_double, document, name);
    }
    /// Milliseconds since 1970-01-01 UTC.
    pub fn date(document: Document, name: [:0]const u8) ?i64 {
        return get(i64, c.gtm_get_date, document, name);
    }
    /// A document or an array, whose elements are named 0, 1, ….
    pub fn nested(document: Document, name: [:0]const u8) ?Document {
        return if (get(c.gtm_document, c.gtm_get_document, document, name)) |bytes| .{ .bytes = bytes } else null;
    }
    /// Why a getter has no value, for `reject`: `email: expected a string, found an object`.
    pub fn mismatch(document: Document, name: [:0]const u8, expected: [:0]const u8) Text {
        return view(c.gtm_mismatch(document.bytes, name, expected));
    }
    /// As canonical Extended JSON. Null: the host finds something wrong with it, such as text that is no UTF-8.
    pub fn json(document: Document) ?Text {
        var value: c.gtm_text = undefined;
        return if (c.gtm_to_json(document.bytes, &value)) view(value) else null;
    }
};

pub const log = struct {
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

/// The plugin's config. Null: it has no such key.
pub fn config(key: [:0]const u8) ?Text {
    var value: c.gtm_text = undefined;
    return if (c.gtm_config(key, &value)) view(value) else null;
}

/// Sends a mail in plain text. What comes back is what `handle` gives back where the mail was not sent.
pub fn mail(to: Text, subject: Text, text: Text) Outcome {
    return c.gtm_mail(lend(to), lend(subject), lend(text));
}

/// Whether an outcome is that all is done.
pub fn isDone(outcome: Outcome) bool {
    return outcome.what == c.GTM_DONE;
}

/// Texts one after another, as a new one.
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

fn get(comptime Value: type, getter: anytype, document: Document, name: [:0]const u8) ?Value {
    var value: Value = undefined;
    return if (getter(document.bytes, name, &value)) value else null;
}

fn lend(text: Text) c.gtm_text {
    return .{ .ptr = @constCast(text.ptr), .len = text.len };
}

fn view(text: c.gtm_text) Text {
    return text.ptr[0..text.len];
}
