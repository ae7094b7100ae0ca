;; Counts its calls and answers with the count, eight bytes, least first.
(module
  (import "zapp0" "get" (func $get (param i32 i32 i32 i32) (result i32)))
  (import "zapp0" "set" (func $set (param i32 i32 i32 i32)))
  (import "zapp0" "output" (func $output (param i32 i32)))
  (memory (export "memory") 1 1)
  (data (i32.const 0) "count")
  (func (export "zapp_main") (param $op i32) (param $length i32) (result i32)
    ;; init has nothing to do: what is absent is zero
    (if (i32.eqz (local.get $op)) (then (return (i32.const 0))))
    (drop (call $get (i32.const 0) (i32.const 5) (i32.const 8) (i32.const 8)))
    (i64.store (i32.const 8) (i64.add (i64.load (i32.const 8)) (i64.const 1)))
    (if (i32.eq (local.get $op) (i32.const 1))
      (then (call $set (i32.const 0) (i32.const 5) (i32.const 8) (i32.const 8))))
    (call $output (i32.const 8) (i32.const 8))
    (i32.const 0)))
