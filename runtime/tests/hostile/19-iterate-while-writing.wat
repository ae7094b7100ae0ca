;; Walks "a", "b", "c" by next; at "b" it deletes "c" and sets "d": it meets "d", and "c" no more.
(module
  (import "zapp0" "output" (func $output (param i32 i32)))
  (import "zapp0" "set" (func $set (param i32 i32 i32 i32)))
  (import "zapp0" "del" (func $del (param i32 i32)))
  (import "zapp0" "next" (func $next (param i32 i32 i32 i32) (result i32)))
  (memory (export "memory") 1 2)
  (data (i32.const 32) "cd")
  (func (export "zapp_main") (param i32 i32) (result i32) (local i32 i64)
    (local.set 0 (i32.const 0))
    (loop
      (local.set 2 (call $next (i32.const 0) (local.get 0) (i32.const 0) (i32.const 1)))
      (if (i32.eq (local.get 2) (i32.const 1)) (then
        (i32.store8 (i32.add (i32.const 64) (i32.wrap_i64 (local.get 3))) (i32.load8_u (i32.const 0)))
        (local.set 3 (i64.add (local.get 3) (i64.const 1)))
        (local.set 0 (i32.const 1))
        (if (i32.eq (i32.load8_u (i32.const 0)) (i32.const 98)) (then
          (call $del (i32.const 32) (i32.const 1))
          (call $set (i32.const 33) (i32.const 1) (i32.const 33) (i32.const 1))))
        (br 1))))
    (call $output (i32.const 64) (i32.wrap_i64 (local.get 3)))
    (i32.const 0)))
