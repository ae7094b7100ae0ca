;; Half a megabyte that takes seven seconds to compile.
(module
  {{100000*(func)}}
  (memory (export "memory") 1 2)
  (func (export "zapp_main") (param i32 i32) (result i32) (i32.const 0)))
