export class Membership {
    uid: null;
    umd: null;
    members: any[];
    /** From the `meta` of hotsock.subscribed and hotsock.umdUpdated. */
    readSelf({ meta }: {
        meta: any;
    }): void;
    /** From the `data` of hotsock.subscribed and the member events (protocol.md section 10). */
    readMembers({ data }: {
        data: any;
    }): void;
}
