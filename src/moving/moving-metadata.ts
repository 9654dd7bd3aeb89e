import type {
  DriveReader,
  DriveWriter,
  ImagingReader,
  MoveReader,
  MoveWriter,
  StrayVolumeStore,
} from '../metadata/metadata-store.ts';

/** The part of `MetadataStore` that moving works with. */
export interface MovingMetadata {
  readonly drives: Pick<DriveReader, 'find'>;
  readonly imaging: Pick<ImagingReader, 'listTouching'>;
  readonly moves: Pick<MoveReader, 'listUnderWay'>;
  transaction<Result>(work: (tx: MovingTransaction) => Promise<Result>): Promise<Result>;
}

export interface MovingTransaction {
  readonly drives: Pick<DriveReader, 'find'> & Pick<DriveWriter, 'update'>;
  readonly imaging: Pick<ImagingReader, 'listTouching'>;
  readonly moves: Pick<MoveReader, 'find'> & Pick<MoveWriter, 'progress' | 'remove'>;
  readonly strays: Pick<StrayVolumeStore, 'insert'>;
}
