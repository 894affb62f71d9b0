import type { ImageResolver } from './types.ts';
/** Asks for each image once. */
export interface ImageQuestions {
    readonly resolve: ImageResolver;
    /** Ends what is still being asked, and waits until it has ended. */
    stop(): Promise<void>;
}
/** Starts with no image asked for. */
export declare function createImageQuestions(ask: ImageResolver): ImageQuestions;
//# sourceMappingURL=image-questions.d.ts.map