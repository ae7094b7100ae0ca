;; Two seconds of compiling.
(module
  (func {{800000*(nop)}})
  (memory (export "memory") 1 2)
  (func (export "zapp_main") (param i32 i32) (result i32) (i32.const 0)))
