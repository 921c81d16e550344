// The symbols of `using`, for versions of Node that do not have them yet.
'use strict'

Symbol.dispose ??= Symbol('Symbol.dispose')
Symbol.asyncDispose ??= Symbol('Symbol.asyncDispose')
