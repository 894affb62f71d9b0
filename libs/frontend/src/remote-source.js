import { parseDigest } from '@tsbuild/digest';
import { parseGitChecksum, parseGitUrl } from '@tsbuild/dockerfile';
import { isBuildError, redact, UserError, withSource } from '@tsbuild/errors';
import { parseUrl } from '@tsbuild/shape';
import { isFileName } from './paths.js';
/**
 * What ADD fetches for a source; undefined for a path.
 *
 * @throws {UserError} `ERR_URL_INVALID`; `ERR_UNSUPPORTED` for a URL of another scheme; `ERR_DIGEST_INVALID` for a malformed
 *   checksum
 * @see spec/dockerfile.md 3.4
 */
export function remoteSource(word, flags, source) {
    try {
        const git = gitUrlOf(word);
        if (git !== undefined)
            return gitOp(word, git, flags);
        if (isHttpUrl(word))
            return httpOp(word, flags);
    }
    catch (error) {
        throw withSource(error, source);
    }
    const [, scheme] = /^([a-z][a-z0-9+.-]*):\/\//i.exec(word) ?? [];
    if (scheme === undefined)
        return undefined;
    const message = `Cannot add ${quoted(word)}: URLs of the scheme "${scheme}" are not supported`;
    throw new UserError('ERR_UNSUPPORTED', message, {
        source,
        hints: ['Give an http or https URL, or a git repository.'],
    });
}
/**
 * Refuses what only ADD takes.
 *
 * @throws {UserError} `ERR_DOCKERFILE_SYNTAX` for a URL or a repository; `ERR_URL_INVALID` for a malformed one
 */
export function refuseRemote(word, source) {
    const refuse = (what) => {
        const message = `Cannot copy ${quoted(word)}: source can't be a ${what} for COPY`;
        throw new UserError('ERR_DOCKERFILE_SYNTAX', message, { source, hints: ['Use ADD for it.'] });
    };
    try {
        if (gitUrlOf(word) !== undefined)
            refuse('git ref');
    }
    catch (error) {
        throw withSource(error, source);
    }
    if (isHttpUrl(word))
        refuse('URL');
}
/** Whether a source of ADD is no path, well-formed or not. */
export function isRemoteSource(word) {
    if (/^[a-z][a-z0-9+.-]*:\/\//i.test(word))
        return true;
    try {
        return gitUrlOf(word) !== undefined;
    }
    catch (error) {
        if (isBuildError(error) && error.code === 'ERR_URL_INVALID')
            return true;
        throw error;
    }
}
function gitUrlOf(word) {
    const git = parseGitUrl(word);
    return git?.mayBePath === true ? undefined : git;
}
const isHttpUrl = (word) => /^https?:\/\//i.test(word);
const quoted = (word) => JSON.stringify(redact(word));
function httpOp(word, { checksum }) {
    if (parseUrl(word) === undefined)
        throw new UserError('ERR_URL_INVALID', `Cannot add ${quoted(word)}: it is no URL`);
    const url = new URL(word);
    url.hash = '';
    return {
        kind: 'http',
        url: url.href,
        filename: fileNameOf(url),
        checksum: checksum === undefined ? undefined : parseDigest(checksum),
    };
}
/** The last element of the path, decoded. What cannot be a file's name is `__unnamed__`, as no name at all is. */
function fileNameOf({ pathname }) {
    const name = decoded(lastElement(pathname));
    return isFileName(name) ? name : '__unnamed__';
}
const lastElement = (path) => path.replace(/\/+$/, '').split('/').at(-1) ?? '';
function decoded(text) {
    try {
        return lastElement(decodeURIComponent(text));
    }
    catch (error) {
        if (error instanceof URIError)
            return text;
        throw error;
    }
}
function gitOp(word, url, { checksum, keepGitDir, commitTimes }) {
    const refuse = (why, hints = []) => {
        throw new UserError('ERR_URL_INVALID', `Cannot add ${quoted(word)}: ${why}`, { hints });
    };
    if (url.credentials !== undefined) {
        refuse('a repository is not fetched with the password of a URL', [
            'Pass a token as the secret `GIT_AUTH_TOKEN`.',
        ]);
    }
    if (keepGitDir !== null && url.keepGitDir !== undefined && keepGitDir !== url.keepGitDir) {
        refuse('inconsistent keep-git-dir configuration, the flag and the URL differ');
    }
    const commit = checksum === undefined ? undefined : parseGitChecksum(checksum);
    if (commit === null) {
        const message = `Cannot add ${quoted(word)}: the checksum ${JSON.stringify(checksum)} is not 7 to 64 hex digits of a commit`;
        throw new UserError('ERR_DIGEST_INVALID', message);
    }
    if (commit !== undefined && url.checksum !== undefined && commit !== url.checksum) {
        refuse(`checksum mismatch "${commit}" != "${url.checksum}"`);
    }
    return {
        kind: 'git',
        remote: url.remote,
        ref: url.ref,
        subdir: url.subdir,
        keepGitDir: keepGitDir ?? url.keepGitDir ?? false,
        submodules: url.submodules ?? true,
        checksum: commit ?? url.checksum,
        mtime: url.mtime ?? (commitTimes ? 'commit' : 'checkout'),
    };
}
//# sourceMappingURL=remote-source.js.map