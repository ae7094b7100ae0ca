;; Products that an optimiser would keep alive across a recursive call.
(module
  (memory (export "memory") 1 2)
  (func $f (param i32) (result i32)
    (i32.const 0)
    {{500*(i32.mul (local.get 0) (i32.const 77)) (i32.xor) }}
    (call $f (i32.add (local.get 0) (i32.const 1)))
    (i32.const 0)
    {{500*(i32.mul (local.get 0) (i32.const 77)) (i32.xor) }}
    (i32.add) (i32.add))
  (func (export "zapp_main") (param i32 i32) (result i32) (local i32 i64)
    (drop (call $f (i32.const 1)))
    (i32.const 0)))
