export interface SourceDate { readonly seconds: number | undefined; readonly ofContext: boolean }
