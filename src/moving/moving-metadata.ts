import type {
  DriveReader,
  DriveWriter,
  ImagingReader,
  MoveReader,
  MoveWriter,
  NodeReader,
  StrayVolumeStore,
} from '../metadata/metadata-store.ts';

/** The part of `MetadataStore` that moving works with. */
export interface MovingMetadata {
  readonly drives: Pick<DriveReader, 'find'>;
  readonly imaging: Pick<ImagingReader, 'listTouching'>;
  readonly moves: Pick<MoveReader, 'find' | 'listUnderWay'>;
  readonly nodes: Pick<NodeReader, 'list'>;
  transaction<Result>(work: (tx: MovingTransaction) => Promise<Result>): Promise<Result>;
}

export interface MovingTransaction {
  readonly drives: Pick<DriveReader, 'find'> & Pick<DriveWriter, 'update'>;
  readonly imaging: Pick<ImagingReader, 'listTouching'>;
  readonly moves: Pick<MoveReader, 'find'> & Pick<MoveWriter, 'progress' | 'take' | 'remove'>;
  readonly nodes: Pick<NodeReader, 'list'>;
  readonly strays: Pick<StrayVolumeStore, 'insert'>;
}
