// Values and their one encoding.

import { Bytes, at, part, isUtf8, utf8 } from "./bytes";
import { stop } from "./end";
import { zapp0_emit, zapp0_output } from "./host";

/**
 * What is left to read. Reading past the end, or what is no value, gives zeros and spoils it: `end`
 * tells. So read all arguments first, then return `ARGUMENTS` unless `end()`.
 */
export class Reader {
  private next: i32 = 0;
  private spoilt: bool = false;

  constructor(private readonly source: Bytes) {}

  /** Whether everything was read, and nothing beyond. */
  end(): bool {
    return !this.spoilt && this.next == this.source.length;
  }

  /** Marks what was read as no value. */
  spoil(): void {
    this.spoilt = true;
  }

  /** Exactly so many bytes; zeros if fewer are left. */
  fixed(length: i32): Bytes {
    const bytes = new StaticArray<u8>(length);
    if (this.has(length)) memory.copy(at(bytes), this.step(length), length);
    return bytes;
  }

  u8(): u8 {
    return this.has(1) ? load<u8>(this.step(1)) : 0;
  }

  u16(): u16 {
    return this.has(2) ? bswap<u16>(load<u16>(this.step(2))) : 0;
  }

  u32(): u32 {
    return this.has(4) ? bswap<u32>(load<u32>(this.step(4))) : 0;
  }

  u64(): u64 {
    return this.has(8) ? bswap<u64>(load<u64>(this.step(8))) : 0;
  }

  /** A bool; also whether an optional value follows. */
  bool(): bool {
    const byte = this.u8();
    if (byte > 1) this.spoilt = true;
    return byte == 1;
  }

  /** At most `max` bytes after their length. */
  bytes(max: i32): Bytes {
    const length = <i32>this.u16();
    if (length > max) this.spoilt = true;
    return this.fixed(this.has(length) ? length : 0);
  }

  /** At most `max` bytes of text after their length. */
  text(max: i32): Bytes {
    const text = this.bytes(max);
    if (!isUtf8(text)) this.spoilt = true;
    return text;
  }

  /** Everything that is left. */
  rest(): Bytes {
    return this.fixed(this.source.length - this.next);
  }

  private has(length: i32): bool {
    if (length > this.source.length - this.next) this.spoilt = true;
    return !this.spoilt;
  }

  private step(length: i32): usize {
    const place = at(this.source) + this.next;
    this.next += length;
    return place;
  }
}

/** A buffer that is filled from its start. Writing beyond its end aborts the call. */
export class Writer {
  private readonly buffer: Bytes;
  private written: i32 = 0;

  constructor(room: i32) {
    this.buffer = new StaticArray<u8>(room);
  }

  u8(value: u8): Writer {
    store<u8>(this.place(1), value);
    return this;
  }

  u16(value: u16): Writer {
    store<u16>(this.place(2), bswap<u16>(value));
    return this;
  }

  u32(value: u32): Writer {
    store<u32>(this.place(4), bswap<u32>(value));
    return this;
  }

  u64(value: u64): Writer {
    store<u64>(this.place(8), bswap<u64>(value));
    return this;
  }

  /** A bool; also whether an optional value follows. */
  bool(value: bool): Writer {
    return this.u8(value ? 1 : 0);
  }

  /** Bytes of fixed length. */
  fixed(bytes: Bytes): Writer {
    memory.copy(this.place(bytes.length), at(bytes), bytes.length);
    return this;
  }

  /** Bytes or text of varying length. */
  bytes(bytes: Bytes): Writer {
    return this.u16(<u16>bytes.length).fixed(bytes);
  }

  /** What was written, as a value of its own. */
  all(): Bytes {
    return part(this.buffer, 0, this.written);
  }

  /** What was written becomes the call's output; the last one counts. */
  output(): void {
    zapp0_output(at(this.buffer), this.written);
  }

  /** Adds an event with what was written as its fields. A call that reverts has none. */
  emit(name: string): void {
    const topic = utf8(name);
    zapp0_emit(at(topic), topic.length, at(this.buffer), this.written);
  }

  private place(length: i32): usize {
    if (length > this.buffer.length - this.written) stop(utf8("a value longer than its buffer"));
    const place = at(this.buffer) + this.written;
    this.written += length;
    return place;
  }
}
