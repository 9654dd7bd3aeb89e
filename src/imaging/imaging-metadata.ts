import type {
  DriveReader,
  DriveWriter,
  ImagingReader,
  ImagingWriter,
  StrayVolumeStore,
} from '../metadata/metadata-store.ts';

/** The part of `MetadataStore` that imaging works with. */
export interface ImagingMetadata {
  readonly drives: Pick<DriveReader, 'find'>;
  readonly imaging: Pick<ImagingReader, 'list'>;
  transaction<Result>(work: (tx: ImagingTransaction) => Promise<Result>): Promise<Result>;
}

export interface ImagingTransaction {
  readonly drives: Pick<DriveReader, 'find'> & Pick<DriveWriter, 'update'>;
  readonly imaging: Omit<ImagingWriter, 'insert'>;
  readonly strays: Pick<StrayVolumeStore, 'insert' | 'remove'>;
}
