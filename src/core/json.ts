// The JSON values that jobs, manifests and messages are made of.
export type Json = null | boolean | number | string | readonly Json[] | { readonly [key: string]: Json };
