/** A document as JSON on one line: `{"n":1,"at":{"$date":"2026-01-31T12:00:00Z"}}`. @throws DecodeError */
export function relaxed(bytes: Uint8Array): string;

/** The same, each value with its type: `{"n":{"$numberInt":"1"}}`. Nothing is lost, of any type. @throws DecodeError */
export function canonical(bytes: Uint8Array): string;

/** The bytes of a document of JSON, in either form. @throws DecodeError */
export function parse(json: string): Uint8Array;
